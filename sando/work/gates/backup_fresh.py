"""The gate `backup_fresh`: is the fetched backup young enough? It never fetches one.

Its age is that of its fetch, which sando has recorded with both clocks; only where somebody else put the file there is it
the file's own. Of two that differ the older one counts, and a time that is yet to come is never taken for a young one.
"""

import stat
from pathlib import Path

from sando.model.backup import SLACK_S, told_age
from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.work.backup.place import size_of
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext
from sando.work.now import read_clock


def backup_fresh(context: GateContext, cancel: CancelToken) -> Verdict:
    cancel.check()
    name, backup = context.spec.name, context.backup
    if backup is None:
        raise WorkError(name, "there is no [backup] in sando.toml: add it, or remove this gate", errored=True)
    path = Path(backup.local_path)
    try:
        info = path.stat()
    except FileNotFoundError:
        return Verdict(passed=False, message=f"no backup at {backup.local_path}: fetch one (`sando backup`)")
    except OSError as error:
        raise WorkError(
            name, f"cannot look at {backup.local_path}: {error.strerror}", errored=True
        ) from error
    if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
        return Verdict(passed=False, message=f"{backup.local_path} is no backup: neither a file nor a folder")
    most = context.spec.max_age_s or backup.max_age_s
    now = read_clock()
    passed = now.at.timestamp() - info.st_mtime
    known = context.fetched
    if known and known.fetched.local_path == backup.local_path and known.fetched.bytes == size_of(path):
        return _fetched(known.age(now), passed, most)
    if passed < -SLACK_S:
        return _judge("its time is yet to come: a clock was wrong when it was put there", None, most)
    return _judge(f"put there {span(passed)} ago, not by sando", max(0.0, passed), most)


def _fetched(age: float | None, passed: float, most: float | None) -> Verdict:
    """A file that was touched is no younger for that, and one that lies there again from before is as old as it says."""
    if age is not None and passed > age + SLACK_S:
        return _judge(f"the file is {span(passed)} old, though a fetch ended {span(age)} ago", passed, most)
    return _judge(told_age(age), age, most)


def _judge(told: str, age: float | None, most: float | None) -> Verdict:
    facts: dict[str, object] = {} if age is None else {"age_s": round(age)}
    limit = "" if most is None else f", {span(most)} at most"
    if age is not None and (most is None or age <= most):
        return Verdict(passed=True, message=f"{told}{limit}", facts=facts)
    return Verdict(passed=False, message=f"{told}{limit}: fetch a new one (`sando backup`)", facts=facts)
