"""Runs a command that wants to hear of an event: the event on its stdin, contained, with a deadline. It retries nothing."""

from pathlib import Path

from sando.model.clock import span
from sando.model.errors import Cancelled, Undelivered, WorkError
from sando.model.notices import NEVER_EXIT
from sando.model.topology import Command
from sando.work.cancel import CancelToken
from sando.work.environment import clean_env, command_argv
from sando.work.log import OpLog
from sando.work.process import Keepers

DEADLINE_S = 60.0
LOG_BYTES = 2**20
_WITH_STDIN = ("sh", "-c", 'exec "$@" <"$0"')


class Notices:
    """`folder` has, for each notifier, what it was last told, and a log of what its command said."""

    def __init__(self, keepers: Keepers, folder: str | Path) -> None:
        self._keepers = keepers
        self._folder = Path(folder)

    def attempt(self, name: str, command: Command, body: bytes, env: dict[str, str]) -> "Notice":
        return Notice(self._keepers, self._folder, name, command, body, env)


class Notice:
    """One run: `send` it once; `abort` ends that from any other thread, with all that it started."""

    def __init__(
        self, keepers: Keepers, folder: Path, name: str, command: Command, body: bytes, env: dict[str, str]
    ) -> None:
        self._keepers = keepers
        self._folder = folder
        self._name = name
        self._command = command
        self._body = body
        self._env = env
        self._cancel = CancelToken()

    def abort(self) -> None:
        self._cancel.cancel()

    def send(self) -> None:
        """Returns once the command has ended well. Raises Undelivered; its text quotes nothing of the command."""
        try:
            ended = self._keepers.run(
                (*_WITH_STDIN, str(self._written()), *command_argv(self._command)),
                cwd=self._folder,
                env=clean_env(self._env),
                log=OpLog(self._folder / f"{self._name}.log", LOG_BYTES),
                cancel=self._cancel,
                step="notify",
                timeout=DEADLINE_S,
                grace=2.0,
            )
        except Cancelled:
            raise Undelivered("the command was ended: sandod stops or reloads") from None
        except WorkError as error:
            late = f"the command did not end within {span(DEADLINE_S)}"
            raise Undelivered("the command cannot be run" if error.errored else late) from None
        except OSError as error:
            raise Undelivered(f"the event cannot be written for the command: {error.strerror}") from None
        if not ended.ok:
            raise Undelivered(
                f"the command ended with {ended}; {self._folder / self._name}.log has what it said",
                never=ended.code == NEVER_EXIT,
            )

    def _written(self) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{self._name}.json"
        path.unlink(missing_ok=True)  # a command that still reads the one before keeps it
        path.touch(mode=0o600)
        path.write_bytes(self._body)
        return path
