"""`python -m stoop.bson …` is `stoop bson …`."""

import sys

from stoop.bson._cli import main

if __name__ == "__main__":
    sys.exit(main())
