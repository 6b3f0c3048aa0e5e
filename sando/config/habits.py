"""Bad habits of a valid topology that are worth a warning. They stop nothing; there are few of them."""

from collections.abc import Iterator

from sando.model.clock import EPOCH, span
from sando.model.freeze import FOREVER, frozen_until
from sando.model.topology import BackupSpec, TierSpec, TokenSpec, Topology


def habits(topology: Topology, tokens: tuple[TokenSpec, ...] = ()) -> Iterator[str]:
    """One sentence per habit, with the tier and the next step. Without `tokens` all people are one."""
    if not topology.build_tier.gates:
        yield f'tier {topology.build_tier.name}: has no gates, so every build is green; add {{ kind = "cargo_test" }}'
    for tier in topology.tiers:
        yield from _of_tier(tier)
        yield from _of_approvals(tier, tokens)
        if frozen_until(topology.freezes, tier.name, EPOCH.at) == FOREVER:
            yield f"tier {tier.name}: the freezes leave no hour free, so nothing ever goes out; shorten one, or use `sando lock`"
    yield from _of_last(topology)
    if topology.backup is None:
        yield from _of_rehearsals(topology)
    else:
        yield from _of_backup(topology.backup, topology)


def _of_tier(tier: TierSpec) -> Iterator[str]:
    if not tier.provisioned or not tier.nodes:
        return
    if not tier.nodes_in():
        yield f"tier {tier.name}: every node is left out, so nothing can be deployed; remove out = true from one"
    blind = [node.name for node in tier.nodes_in() if node.probe is None]
    if blind and not any(gate.kind == "boot_smoke" for gate in tier.gates):
        yield (
            f"tier {tier.name}: {', '.join(blind[:3])}{' …' if len(blind) > 3 else ''} without a probe, and no "
            "boot_smoke gate: a release that does not start counts as deployed; add probe = { http = … }"
        )


def _of_approvals(tier: TierSpec, tokens: tuple[TokenSpec, ...]) -> Iterator[str]:
    """Only who may operate says yes, and each counts once."""
    people = len({token.name for token in tokens if token.scope == "operate"})
    for gate in tier.gates:
        if tokens and gate.kind == "manual_confirm" and gate.min_approvals > people:
            count = f"{people} token{'' if people == 1 else 's'} of scope operate"
            yield (
                f"tier {tier.name}: {gate.name} wants {gate.min_approvals} approvals, and daemon.toml has {count}: it never "
                "turns green; add tokens (`sandod token NAME --scope operate`), or lower min_approvals"
            )


def _of_last(topology: Topology) -> Iterator[str]:
    """Nothing makes a version wait before the last tier (the build tier alone before it is a workshop, not a stage)."""
    last = [tier for tier in topology.tiers if tier.provisioned][-1]
    before = topology.predecessor(last.name)
    if before is None or before is topology.build_tier:
        return
    if not any(gate.kind in {"manual_confirm", "burn_in"} for gate in before.gates):
        yield (
            f"tier {last.name}: reached without a wait; give tier {before.name} a burn_in or manual_confirm gate"
        )


def _of_backup(backup: BackupSpec, topology: Topology) -> Iterator[str]:
    """A limit that no backup can keep until the next one comes."""
    gates = [
        (tier.name, gate) for tier in topology.tiers for gate in tier.gates if gate.kind == "backup_fresh"
    ]
    limits = [
        ("backup", backup.max_age_s),
        *((f"tier {name}: {gate.name}", gate.max_age_s) for name, gate in gates),
    ]
    for where, most in limits:
        if backup.schedule_s is not None and most is not None and backup.schedule_s > most:
            yield (
                f"{where}: max_age is {span(most)}, and a new backup comes every {span(backup.schedule_s)}: "
                "it is too old before; make schedule shorter"
            )


def _of_rehearsals(topology: Topology) -> Iterator[str]:
    for tier in topology.tiers:
        if any(gate.kind == "migration_dry_run" for gate in tier.gates):
            yield f"tier {tier.name}: migration_dry_run has no backup to restore; add [backup]"
