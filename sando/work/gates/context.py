"""What a gate on the build machine is given, and how it runs a command there; it knows no kind of gate."""

from collections.abc import Mapping
from dataclasses import dataclass

from sando.model.backup import LastGood
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.topology import BackupSpec, Command, GateSpec
from sando.work.build import Workshop, build_env, build_folder
from sando.work.cancel import CancelToken
from sando.work.environment import called
from sando.work.git import checked_out, checkout
from sando.work.log import OpLog, said_since
from sando.work.process import clean_env, command_argv
from sando.work.scratch.opening import Where


@dataclass(frozen=True, slots=True)
class GateContext:
    """One gate of one version on the build tier. `release` is its folder in the store.

    `running` are the other versions that run on the later tiers now; `first_release` is true while none ever has;
    `fetched` is the last good fetch of the backup. `boot` is the tier's own boot_smoke gate, `where` is where backups
    are restored; a daemon has one such place for all of its tiers.
    """

    spec: GateSpec
    tier: str
    version: str
    sha: str
    operation: int
    release: str
    shop: Workshop
    log: OpLog
    backup: BackupSpec | None
    where: Where
    running: tuple[str, ...] = ()
    first_release: bool = True
    fetched: LastGood | None = None
    boot: GateSpec | None = None

    @property
    def timeout_s(self) -> float:
        return self.spec.timeout_s or self.shop.spec.timeout_s


def ensure_checkout(context: GateContext, cancel: CancelToken) -> None:
    """Check the version's commit out, unless the last checkout was of it: then the build's files stay."""
    shop = context.shop
    if checked_out(shop.bare, shop.checkout) != context.sha:
        checkout(shop.bare, shop.branch, context.sha, shop.checkout, cancel, context.log, clean_env())


def run_command(
    context: GateContext,
    command: Command,
    cancel: CancelToken,
    log: OpLog | None = None,
    more: Mapping[str, str] | None = None,
) -> Verdict:
    """Run a command in `[build] dir` of the checkout, with the build's environment and runner; exit 0 is green.

    WorkError where it could not run, could not end, or had no room.
    """
    shop, log = context.shop, log or context.log
    start = log.size()
    ended = shop.keepers.run(
        (*shop.spec.runner, *command_argv(command)),
        cwd=build_folder(shop),
        env=build_env(shop, context.sha, {**context.spec.env, **(more or {})}),
        log=log,
        cancel=cancel,
        step=context.spec.name,
        name=called(command),
        timeout=context.timeout_s,
        idle_timeout=context.spec.idle_timeout_s or shop.spec.idle_timeout_s,
    )
    if ended.full:
        why, said = ended.of(called(command)), said_since(log.path, start)
        raise WorkError(context.spec.name, why, errored=True, tail=said)
    message = f"{called(command)} passed" if ended.ok else ended.of(called(command))
    return Verdict(passed=ended.ok, message=message, facts={"exit_status": ended.code})
