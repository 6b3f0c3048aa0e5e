"""THE place where a gate kind is added: its name here, and its function in a file of its own beside this one."""

from collections.abc import Callable

from sando.model.gates import Verdict
from sando.work.cancel import CancelToken
from sando.work.gates.backup_fresh import backup_fresh
from sando.work.gates.boot_smoke import boot_smoke
from sando.work.gates.cargo_test import cargo_test
from sando.work.gates.command import command
from sando.work.gates.context import GateContext
from sando.work.gates.migration_dry_run import migration_dry_run

__all__ = ["GATES", "GateContext", "run_gate"]

GATES: dict[str, Callable[[GateContext, CancelToken], Verdict]] = {
    "cargo_test": cargo_test,
    "command": command,
    "migration_dry_run": migration_dry_run,
    "boot_smoke": boot_smoke,
    "backup_fresh": backup_fresh,
}


def run_gate(context: GateContext, cancel: CancelToken) -> Verdict:
    """Run an active gate on the build tier. Raises Cancelled; WorkError when it could not run or ran out of time.

    An unknown kind is a bug, and a KeyError: the config has refused it.
    """
    cancel.check()
    verdict = GATES[context.spec.kind](context, cancel)
    context.log.say(
        f"gate {context.spec.name}: {'passed' if verdict.passed else 'failed'}: {verdict.message}"
    )
    return verdict
