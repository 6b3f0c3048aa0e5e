"""`python -m tui`: the screen."""

import sys

from tui.app.main import main

if __name__ == "__main__":
    sys.exit(main())
