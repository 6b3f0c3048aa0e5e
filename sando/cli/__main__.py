"""`python -m sando.cli`, where nothing is installed."""

import sys

from sando.cli import main

sys.exit(main())
