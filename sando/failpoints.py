"""Places where a test may end, fail or hold sandod. Without SANDO_FAILPOINTS in its environment nothing happens there.

`SANDO_FAILPOINTS="build.placed=kill,commit.DeployOk=full@2"`: at the second time only. Every place is in `POINTS`.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterable

ENVIRONMENT = "SANDO_FAILPOINTS"
COMMITS = ("DaemonStarted", "BuildOk", "DeployOk", "Rollback", "BackupFetched", "Pruned")
"""Before these are committed; before any other nothing is on the disk that is not at the place before it."""
COMMITTED = (
    *COMMITS, "RebuildRequested", "BuildStart", "GateStart", "GateDone",
    "DeployStart", "NodeDeployed", "NodeReverted", "DeployFailed",
)  # fmt: skip
STEPS = (
    "preflight", "upload", "once", "switch", "start", "hold", "revert", "observe", "probe", "gate", "prune",
)  # fmt: skip
POINTS: dict[str, str] = {
    "start.locked": "the locks are held, the store is not open",
    "start.prepared": "folders, repository and hook are there, no actor is",
    "build.checked_out": "the commit is checked out, the command has not begun",
    "build.ran": "the build command has ended well, nothing is staged",
    "build.staged": "the files are in the staging folder, the manifest is not",
    "build.sealed": "the staged release is whole, and has not its name",
    "build.placed": "the release has its name, and no row yet",
    "gate.ran": "a gate of the builder has been judged, and nobody knows",
    "shelf.staged": "the release is whole on a local node, and has not its name",
    "link.beside": "the new link of a local node is there under another name",
    "link.switched": "a local node's link is the new one, and nobody knows",
    "backup.arrived": "the backup has come and is good, and has not its name",
    "backup.placed": "the backup has its name, and nobody knows",
    "prune.removed": "retention has removed a folder of the store, and its row says that it is there",
    "copy.written": "a copy of the store is written, and has not its name",
    **{f"commit.{kind}": f"the transaction with {kind} is written, not committed" for kind in COMMITS},
    **{
        f"committed.{kind}": f"the transaction with {kind} is committed, and nobody knows"
        for kind in COMMITTED
    },
    **{f"node.{step}": f"the step {step} on a node is about to begin" for step in STEPS},
    **{f"node.{step}.done": f"the step {step} on a node is done, and nobody knows" for step in STEPS},
}


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def _error() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _hang() -> None:
    threading.Event().wait()


ACTS: dict[str, Callable[[], None]] = {"kill": _kill, "error": _error, "full": _full, "hang": _hang}


class _Armed:
    """What is to happen at one place, and how many passes are let through before."""

    def __init__(self, act: Callable[[], None], nth: int) -> None:
        self._act = act
        self._left = nth
        self._lock = threading.Lock()

    def pass_by(self) -> None:
        with self._lock:
            self._left -= 1
            now = self._left == 0
        if now:
            self._act()


def armed(text: str) -> dict[str, _Armed]:
    """What the variable says. ValueError names what it may say."""
    found = {}
    for item in filter(None, text.split(",")):
        name, _, rest = item.partition("=")
        act, _, nth = rest.partition("@")
        if name not in POINTS or act not in ACTS or not (nth or "1").isdecimal():
            raise ValueError(
                f"{ENVIRONMENT}: {item}: write POINT=kill|error|full|hang[@NTH], see sando/failpoints.py"
            )
        found[name] = _Armed(ACTS[act], int(nth or 1))
    return found


_armed = armed(os.environ.get(ENVIRONMENT, ""))


def reached(name: str) -> None:
    """Here is the place of that name; it costs a look into an empty dict."""
    if _armed and name in _armed:
        _armed[name].pass_by()


def reached_each(when: str, kinds: Iterable[str]) -> None:
    if _armed:
        for kind in kinds:
            reached(f"{when}.{kind}")
