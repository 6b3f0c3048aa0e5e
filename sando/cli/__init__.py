"""The `sando` command. Without arguments it is the screen; it only puts together what other files hold."""

import sys


def main() -> int:
    if len(sys.argv) > 1:
        print("sando: there are no subcommands yet; without arguments it opens the screen", file=sys.stderr)  # noqa: T201
        return 2
    from tui.app.main import main as screen  # noqa: PLC0415  (curses and npyscreen are for the screen alone)

    return screen()
