"""`sando promote` and `sando rollback`: on a terminal they ask first, and send the version that the question has shown.

A rollback names its version also where nobody is asked, so that two at one moment do not step back twice.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import click

from sando.cli import asking, options
from sando.cli.acting import start
from sando.cli.codes import FAILED
from sando.cli.errors import Command
from sando.cli.session import Session, given, session
from sando.client.caller import Refused, Unreachable


@click.command(cls=Command)
@options.tier
@options.version
@click.option(
    "--hotfix", is_flag=True, help="Skip the burn-in of the tier before, and no other gate, this once."
)
@click.option(
    "--reset-burn-in", is_flag=True, help="With --hotfix: restart the burn-in clock of the tier before."
)
@click.option("--force", is_flag=True, help="Deploy again what is current; lift a mark that a rollback left.")
@click.option("--override-freeze", is_flag=True, help="Pass a freeze; needs --reason.")
@options.reason
@options.yes
@options.waits
@options.key
@options.as_json
def promote(tier: str, version: str | None, **said: Any) -> int:
    """Bring VERSION into TIER; without it, what is current on the tier before.

    On a terminal it shows what would happen and asks first. Refused, it lists all that stands in the way.
    """
    wish = given(
        version=version,
        **{k: said[k] for k in ("hotfix", "reset_burn_in", "force", "override_freeze", "reason")},
    )
    return _move("promote", tier, wish, said)


@click.command(cls=Command)
@options.tier
@options.version
@click.option(
    "--force", is_flag=True, help="Go back even where the older release would not run on today's schema."
)
@click.option(
    "--abort-running",
    is_flag=True,
    help="Stop a promotion that runs there at its next node, then make the tier whole.",
)
@options.reason
@options.yes
@options.waits
@options.key
@options.as_json
def rollback(tier: str, version: str | None, **said: Any) -> int:
    """Take TIER back to the version before, or to VERSION of its history.

    While its nodes are not all on the current version it makes the tier whole first, and the next one steps back.
    What is left is marked bad there. Gates and freezes do not hold it up.
    """
    wish = given(version=version, **{k: said[k] for k in ("force", "abort_running", "reason")})
    return _move("rollback", tier, wish, said)


def _move(act: str, tier: str, wish: dict[str, object], said: dict[str, Any]) -> int:
    with session() as sandod, _names_known(sandod, wish.get("version")):
        if not said["yes"] and asking.on_terminal():
            if not _agreed(sandod, act, tier, wish):
                return FAILED
        elif act == "rollback" and "version" not in wish and said["key"] is None:
            _named(sandod, tier, wish)
        return start(
            sandod, f"/{act}/{tier}", wish, key=said["key"], wait=said["wait"], timeout=said["timeout"],
            as_json=said["as_json"],
        )  # fmt: skip


@contextlib.contextmanager
def _names_known(sandod: Session, version: object) -> Iterator[None]:
    """A version that is no release at all is a wrong name, where a history merely does not have it."""
    try:
        yield
    except Refused as refused:
        if version is not None and refused.problem.code == "not_rollbackable":
            _known(sandod, str(version))
        raise


def _known(sandod: Session, version: str) -> None:
    """Raises Refused where sandod says that there is no such release; what else goes wrong changes no answer."""
    with contextlib.suppress(Unreachable):
        answer = sandod.caller.get(f"/releases/{version}")
        if not answer.ok and (problem := answer.problem()).code == "unknown_version":
            raise Refused(problem, answer.body) from None


def _agreed(sandod: Session, act: str, tier: str, wish: dict[str, object]) -> bool:
    """A yes; from then on the version of the question is the one that is sent."""
    plan = asking.plan(sandod, act, tier, wish)
    asking.ready_or_refused(plan)
    if plan.to:
        wish["version"] = plan.to
    flags = [f"--{name.replace('_', '-')}" for name, value in wish.items() if value is True]
    return asking.agreed(plan, flags)


def _named(sandod: Session, tier: str, wish: dict[str, object]) -> None:
    """Where it goes now is what it asks for; without a plan the act itself says why not.

    While something holds the tier, where it will go is not known: what is current is named then, so that it is refused
    as busy, and as current where the other one has ended meanwhile. Not under a key of somebody's own: a request that
    comes again has to be the same.
    """
    with contextlib.suppress(Unreachable, Refused):
        plan = asking.plan(sandod, "rollback", tier, wish)
        current = plan.to if plan.whole else plan.from_  # to make whole is to go to what is current
        if version := current if plan.code == "tier_busy" else plan.to:
            wish["version"] = version
