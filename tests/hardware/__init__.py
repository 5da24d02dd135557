"""The same drivers on the kernel's own /dev/i2c-N and /dev/gpiochipN. See docs/hardware-tests.md."""
