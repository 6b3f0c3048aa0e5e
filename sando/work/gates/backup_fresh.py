"""The gate `backup_fresh`: is the fetched backup young enough? It never fetches one."""

import stat
from pathlib import Path

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext
from sando.work.now import read_clock


def backup_fresh(context: GateContext, cancel: CancelToken) -> Verdict:
    cancel.check()
    name, backup = context.spec.name, context.backup
    if backup is None:
        raise WorkError(name, "there is no [backup] in sando.toml: add it, or remove this gate", errored=True)
    try:
        info = Path(backup.local_path).stat()
    except FileNotFoundError:
        return Verdict(passed=False, message=f"no backup at {backup.local_path}: fetch one (`sando backup`)")
    except OSError as error:
        raise WorkError(
            name, f"cannot look at {backup.local_path}: {error.strerror}", errored=True
        ) from error
    if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
        return Verdict(passed=False, message=f"{backup.local_path} is no backup: neither a file nor a folder")
    age = max(0.0, read_clock().at.timestamp() - info.st_mtime)
    return _judge(age, context.spec.max_age_s or backup.max_age_s)


def _judge(age: float, most: float | None) -> Verdict:
    if most is None:
        return Verdict(passed=True, message=f"fetched {span(age)} ago", facts={"age_s": round(age)})
    if age <= most:
        message = f"fetched {span(age)} ago, {span(most)} at most"
        return Verdict(passed=True, message=message, facts={"age_s": round(age)})
    message = f"fetched {span(age)} ago, {span(most)} at most: fetch a new one (`sando backup`)"
    return Verdict(passed=False, message=message, facts={"age_s": round(age)})
