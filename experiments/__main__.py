"""The command line: `scoresde COMMAND`, or `python -m experiments COMMAND`."""

import sys

from scoresde import main

if __name__ == "__main__":
    sys.exit(main())
