"""`python -m sando.daemon` is `sandod`."""

import sys

from sando.daemon import main

sys.exit(main())
