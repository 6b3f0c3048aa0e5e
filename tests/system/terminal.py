"""`sando` on a real pseudo-terminal, and what a terminal shows of it. Waits for what is to be seen, never for time.

It is started by a shell that says how the terminal was set before and after, so that both can be compared.
"""

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pexpect
import pyte

from tests.system.sandod import until

SCRIPT = Path(sys.executable).with_name("sando")
COMMAND = str(SCRIPT) if SCRIPT.exists() else f"{sys.executable} -m tui"
WRAPPED = (
    'trap : INT QUIT; echo "before=$(stty -g)."; {command}; code=$?; echo "after=$(stty -g). code=$code."'
)
PATIENCE_S = 60.0
HAND_S = 0.06
KEYS = {
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[1~", "end": "\x1b[4~",
    "page-up": "\x1b[5~", "page-down": "\x1b[6~", "escape": "\x1b", "enter": "\r", "tab": "\t", "backspace": "\x7f",
    "ctrl-c": "\x03", "ctrl-l": "\x0c", "ctrl-u": "\x15", "ctrl-w": "\x17", "shift-tab": "\x1b[Z",
}  # fmt: skip
"""As TERM=linux sends them. pyte knows less than an xterm: for one, curses would use what pyte passes over."""


class Terminal:
    """`press` keys, `see` what is shown; `end` waits for the program's exit code."""

    def __init__(
        self, url: str, *, columns: int = 80, lines: int = 24, command: str = COMMAND, **environ: str
    ) -> None:
        kept = {
            k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "SANDO_TOKEN", "LANG", "LANGUAGE"}
        }
        env = kept | {"TERM": "linux", "LC_ALL": "C.UTF-8", "SANDO_DAEMON": url} | environ
        self.screen = pyte.Screen(columns, lines)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self._child = pexpect.spawn(
            "/bin/sh",
            ["-c", WRAPPED.format(command=command)],
            env=env,
            dimensions=(lines, columns),
            timeout=None,
        )
        self._child.delaybeforesend = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close(force=True)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def row(self, pattern: str) -> str:
        return next(line for line in self.screen.display if re.search(pattern, line))

    def see(self, *patterns: str) -> str:
        """Until all of these are on the screen at once."""
        self._read_until(lambda: all(re.search(p, self.text) for p in patterns), f"for {patterns} to be seen")
        return self.text

    def miss(self, *patterns: str) -> str:
        """Until none of these is on the screen any more."""
        self._read_until(lambda: not any(re.search(p, self.text) for p in patterns), f"for {patterns} to go")
        return self.text

    def hear(self, code: bytes) -> None:
        """Until the program has sent this."""
        self._read_until(lambda: code in self.raw, f"for {code!r}")

    def _read_until(self, true: Callable[[], object], what: str) -> None:
        def look() -> bool:
            ended = self._read()
            found = bool(true())
            assert found or not ended, f"it has ended while waiting {what}:\n{self.text}"
            return found

        try:
            until(look, PATIENCE_S, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def _read(self) -> bool:
        """What has come by now; True when no more will."""
        try:
            data = self._child.read_nonblocking(65536, 0.05)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            return True
        self.raw += data
        self._stream.feed(data)
        return False

    # -- what a person does ------------------------------------------------------------------------------------

    def press(self, *keys: str) -> Self:
        """Names, or text that is typed. A hand leaves a moment before it answers; what is faster is taken for a paste."""
        self._child.delaybeforesend = HAND_S if keys[0] == "y" else None
        for key in keys:
            self._child.send(KEYS.get(key, key))
            self._child.delaybeforesend = None
        return self

    def paste(self, text: str) -> Self:
        """As a terminal that marks it."""
        self._child.send(f"\x1b[200~{text}\x1b[201~")
        return self

    def resize(self, columns: int, lines: int) -> Self:
        self.screen.resize(lines, columns)
        self.screen.reset()
        self._child.setwinsize(lines, columns)
        return self

    # -- the process -------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Of `sando` itself."""
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children")
        return int(until(lambda: children.read_text().split(), what="for sando to be started")[0])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self) -> int:
        """The exit code of `sando`; the terminal is as it was before."""
        found = self._ended()
        before = re.search(rb"before=(.+?)\.", self.raw)
        assert before
        assert before[1] == found[1], "the terminal is not set as it was"
        return int(found[2])

    def _ended(self) -> re.Match[bytes]:
        pattern = re.compile(rb"after=(.+?)\. code=(\d+)\.")
        self._read_until(lambda: pattern.search(self.raw), "for it to end")
        found = pattern.search(self.raw)
        assert found
        return found
