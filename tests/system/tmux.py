"""`sando` in a real tmux, which knows more of a terminal than pyte does: what a person sees there, and the keys that go in."""

import os
import re
import secrets
import subprocess
import time
from typing import Self

from wcwidth import wcswidth

from tests.system.sandod import until
from tests.system.terminal import COMMAND, HAND_S, PATIENCE_S

NAMES = {"enter": "Enter", "escape": "Escape", "up": "Up", "down": "Down", "page-down": "PageDown"}


class Tmux:
    """A server of its own with one window; its end takes all that runs in it along."""

    def __init__(self, url: str, *, columns: int = 80, lines: int = 24, **environ: str) -> None:
        self._columns = columns
        self._words = ("tmux", "-L", f"sando-{secrets.token_hex(6)}", "-f", "/dev/null")
        env = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "SANDO_TOKEN", "TMUX"}}
        env |= {"LC_ALL": "C.UTF-8", "SANDO_DAEMON": url} | environ
        settings = ("set", "-g", "default-terminal", "tmux-256color", ";", "set", "-g", "status", "off", ";", "set", "-s", "escape-time", "5")  # fmt: skip
        size = ("-x", str(columns), "-y", str(lines))
        subprocess.run(
            [*self._words, *settings, ";", "new-session", "-d", *size, COMMAND], env=env, check=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._words, "kill-server"], capture_output=True, check=False)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run([*self._words, *words], capture_output=True, text=True, check=False)
        return done.stdout

    @property
    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    @property
    def running(self) -> bool:
        return bool(self._tmux("list-panes").strip())

    def see(self, *patterns: str) -> str:
        """Until all of these are on the screen at once, which is as wide as the terminal, and no row of it is broken.

        A capture may fall into the middle of a draw (tmux reads it in pieces), so the frame is waited for as well.
        """
        shown: list[str] = [""]

        def look() -> bool:
            shown[0] = self.text
            return all(re.search(p, shown[0]) for p in patterns) and not self._broken(shown[0])

        try:
            until(look, PATIENCE_S, f"for {patterns} to be seen, whole")
        except AssertionError as error:
            broken = "\n".join(self._broken(shown[0]))
            raise AssertionError(f"{error}\n{shown[0]}\nbroken rows:\n{broken}") from None
        return shown[0]

    def _broken(self, shown: str) -> list[str]:
        framed = (line for line in shown.splitlines() if line.startswith(("│", "╭", "╰")))
        return [line for line in framed if wcswidth(line) != self._columns]

    def press(self, *keys: str) -> Self:
        """Names, or text that is typed. A hand leaves a moment before it answers, as in `Terminal`."""
        if keys[0] == "y":
            time.sleep(HAND_S)
        for key in keys:
            words = (NAMES[key],) if key in NAMES else ("-l", key)
            self._tmux("send-keys", *words)
        return self

    def end(self) -> None:
        until(lambda: not self.running, PATIENCE_S, "for it to end")
