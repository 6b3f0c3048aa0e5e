"""Topologies, shas and gates for the tests of the actors, in as few words as they need."""

from typing import Any

from sando.model.topology import BackupSpec, FreezeSpec, GateSpec, NodeSpec, RepoSpec, TierSpec, Topology


def sha(number: int) -> str:
    """A commit of its own for each number; the first seven digits tell them apart."""
    return f"{number:07x}" + "0" * 33


def gate(kind: str, **more: Any) -> GateSpec:
    return GateSpec(**{"kind": kind, "name": kind, **more})


def nodes(tier: str, count: int, **more: Any) -> tuple[NodeSpec, ...]:
    return tuple(NodeSpec(f"{tier}-{i}", "local", f"/srv/{tier}-{i}", **more) for i in range(1, count + 1))


def tier(name: str, count: int = 1, *gates: GateSpec, **more: Any) -> TierSpec:
    return TierSpec(
        **{"name": name, "provisioned": True, "gates": gates, "nodes": nodes(name, count), **more}
    )


CARGO = gate("cargo_test")
SMOKE = gate("boot_smoke")
CONFIRM = gate("manual_confirm")
REHEARSAL = gate("migration_dry_run")
DAY = gate("burn_in", duration_s=86400.0)


def topology(*tiers: TierSpec, freezes: tuple[FreezeSpec, ...] = (), backup: bool = True) -> Topology:
    """The build tier `mm` with one gate, and a staging and a production tier unless others are given."""
    rest = tiers or (tier("a", 1), tier("b", 3, CONFIRM))
    build = rest[0] if rest[0].name == "mm" else tier("mm", 0, CARGO)
    rest = tuple(t for t in rest if t.name != "mm")
    spec = BackupSpec("file:///var/backups/x.sql", "/var/lib/sando/x.sql") if backup else None
    return Topology(RepoSpec("/srv/git/x.git"), (build, *rest), backup=spec, freezes=freezes)
