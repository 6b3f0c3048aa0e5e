"""`sando` as people's scripts run it: a process without a terminal, its exit code and its two outputs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.system.sandod import until

SCRIPT = Path(sys.executable).with_name("sando")
SANDO = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "sando.cli"]
PATIENCE_S = 60.0
OURS = {"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "SANDO_TOKEN", "SANDO_CONFIG"}


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert len(self.out.splitlines()) == 1, self
        return json.loads(self.out)


class Cli:
    """`run` to the end; `start` and `end` where something happens meanwhile."""

    def __init__(self, url: str, **environ: str) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in OURS}
        self._env = kept | {"SANDO_DAEMON": url} | environ

    def run(self, *words: str) -> Ended:
        done = subprocess.run(
            [*SANDO, *words], env=self._env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=PATIENCE_S,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str, code: int = 0) -> Any:
        """The one document that it answers, after this exit code."""
        ended = self.run(*words, "--json")
        assert ended.code == code, ended
        return ended.document

    def start(self, folder: Path, *words: str) -> "Running":
        return Running(self._env, folder, words)


class Running:
    """Its outputs go to files, so that they can be looked at while it runs."""

    def __init__(self, env: dict[str, str], folder: Path, words: tuple[str, ...]) -> None:
        self._out, self._err = folder / "sando.out", folder / "sando.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [*SANDO, *words], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def says(self, text: str) -> None:
        """Waits until it has."""
        until(lambda: text in self.told or self._process.poll() is not None, what=f"for {text!r} to be said")
        assert text in self.told, self.told

    @property
    def told(self) -> str:
        return self._out.read_text() + self._err.read_text()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> Ended:
        code = self._process.wait(PATIENCE_S)
        return Ended(code, self._out.read_text(), self._err.read_text())
