"""`python -m dronetrack` is the command line."""

import sys

from dronetrack.cli import main

if __name__ == "__main__":
    sys.exit(main())
