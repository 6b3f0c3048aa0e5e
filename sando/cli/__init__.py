"""The `sando` command. Without arguments it is the screen, with them the command line; each is loaded only when wanted."""

import os
import sys

COMPLETING = "_SANDO_COMPLETE"
"""Set by the scripts of `sando completion`: then a shell asks what may stand at the cursor."""


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if None in {sys.stdin, sys.stdout, sys.stderr}:
        from sando.cli.outlets import opened  # noqa: PLC0415  (click is for the command line alone)

        opened()
    if words or os.environ.get(COMPLETING):
        from sando.cli.page import run  # noqa: PLC0415  (click is for the command line alone)

        return run(words)
    from tui.app.main import main as screen  # noqa: PLC0415  (curses and npyscreen are for the screen alone)

    return screen()
