"""`python -m gateway` is the command `lamppost`."""

import sys

from gateway.cli import main

sys.exit(main())
