"""`python -m dronetrack` is the command line."""

import sys

from dronetrack.cli import main

sys.exit(main())
