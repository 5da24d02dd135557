"""The daemon: builds all from the configuration, stops in reverse. Only this package knows the others."""
