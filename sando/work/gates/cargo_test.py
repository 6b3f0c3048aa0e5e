"""The gate `cargo_test`: the project's own tests, in the checkout of the version's commit."""

from sando.model.gates import Verdict
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext, ensure_checkout, run_command

DEFAULT = ("cargo", "test", "--release")


def cargo_test(context: GateContext, cancel: CancelToken) -> Verdict:
    ensure_checkout(context, cancel)
    return run_command(context, context.spec.command or DEFAULT, cancel)
