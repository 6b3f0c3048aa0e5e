"""The tiers of sando.toml with their nodes, and what must hold between them. Gates are read next door."""

from pathlib import PurePosixPath
from typing import NamedTuple, get_args

from sando.config.addresses import machine, ssh_target
from sando.config.credentials import secret_file
from sando.config.gates import Surroundings, read_gates, read_probe
from sando.config.table import Table
from sando.config.values import (
    between,
    command,
    duration,
    flag,
    folder,
    node_name,
    one_of,
    positive,
    shown,
    tier_name,
)
from sando.model.topology import LOCAL, Canary, Command, NodeSpec, OnFailure, Probe, TierSpec

KEYS = (
    "name", "provisioned", "gates", "node", "canary", "canary_hold", "on_failure", "once", "before_switch",
    "restart", "probe", "keep_releases", "timeout", "confirm_within",
)  # fmt: skip
NODE_KEYS = ("name", "ssh_target", "release_root", "restart", "probe", "identity_file", "known_hosts", "out")
MAX_KEEP = 1000

_PLAIN = TierSpec("", provisioned=True)
_CANARIES: tuple[Canary, ...] = get_args(Canary)
_ON_FAILURES: tuple[OnFailure, ...] = get_args(OnFailure)


class _Placed(NamedTuple):
    table: Table
    tier: str
    node: NodeSpec


def read_tiers(root: Table, around: Surroundings, store: str) -> tuple[TierSpec, ...]:
    """All tiers; `store` is the daemon's release store, empty where it is not known."""
    placed: list[_Placed] = []
    found: list[TierSpec] = []
    tables = root.tables("tier", '[[tier]] with name = "mm" and provisioned = true')
    for table in tables:
        tier = _tier(table, around, placed)
        if tier.name and any(tier.name == other.name for other in found):
            table.problem(f"a tier {shown(tier.name)} stands further up; give each its own name", "name")
        if tier.provisioned and found and not table.has("node"):
            table.problem(
                "is provisioned and has no nodes; add [[tier.node]] with name, ssh_target and release_root, "
                "or set provisioned = false"
            )
        found.append(tier)
    _check_first(root, tables, found)
    _check_roots(placed, store)
    return tuple(found)


def _check_first(root: Table, tables: list[Table], found: list[TierSpec]) -> None:
    if not found:
        root.problem('no tier; add [[tier]] with name = "mm" and provisioned = true', "tier")
    elif not found[0].provisioned:
        tables[0].problem("the first tier builds, so it must be; set provisioned = true", "provisioned")


def _tier(table: Table, around: Surroundings, placed: list[_Placed]) -> TierSpec:
    table.only(*KEYS, of=" of a tier")
    name = table.need("name", tier_name, "", '"a"')
    nodes = _nodes(table, name, placed)
    tier = TierSpec(
        name=name,
        provisioned=table.need("provisioned", flag, True, "true"),
        gates=read_gates(table, around),
        nodes=nodes,
        canary=table.take("canary", one_of(_CANARIES), _PLAIN.canary),
        canary_hold_s=table.take("canary_hold", duration, _PLAIN.canary_hold_s),
        on_failure=table.take("on_failure", one_of(_ON_FAILURES), _PLAIN.on_failure),
        once=table.maybe("once", command),
        before_switch=table.maybe("before_switch", command),
        keep_releases=table.take("keep_releases", between(1, MAX_KEEP), _PLAIN.keep_releases),
        timeout_s=table.take("timeout", positive, _PLAIN.timeout_s),
        confirm_within_s=table.maybe("confirm_within", positive),
    )
    _check_gates_on_nodes(table, tier)
    return tier


def _check_gates_on_nodes(table: Table, tier: TierSpec) -> None:
    lost = [gate.name for gate in tier.gates if gate.on == "nodes"]
    if lost and not table.has("node"):
        table.problem(f'the gate {lost[0]} runs on nodes, and there are none; set on = "builder"', "gates")


def _nodes(tier: Table, tier_called: str, placed: list[_Placed]) -> tuple[NodeSpec, ...]:
    restart, probe = tier.maybe("restart", command), read_probe(tier)
    tables = tier.tables("node", "[[tier.node]] with name, ssh_target and release_root")
    if tier.has("node") and not tables:
        tier.problem("has no nodes in it; add [[tier.node]] or remove the key", "node")
    found: list[NodeSpec] = []
    for table in tables:
        node = _node(table, restart, probe)
        if node.name and any(node.name == other.name for other in found):
            table.problem(f"the tier has a node {shown(node.name)} already; give each its own name", "name")
        found.append(node)
        placed.append(_Placed(table, tier_called, node))
    return tuple(found)


def _node(table: Table, restart: Command | None, probe: Probe | None) -> NodeSpec:
    table.only(*NODE_KEYS, of=" of a node")
    return NodeSpec(
        name=table.need("name", node_name, "", '"prod-1"'),
        ssh_target=table.need("ssh_target", ssh_target, "", '"deploy@prod-1.example:22" or "local"'),
        release_root=table.need("release_root", folder, "", '"/srv/app"'),
        restart=table.take("restart", command, restart),
        probe=read_probe(table) or probe,
        identity_file=table.maybe("identity_file", secret_file),
        known_hosts=table.maybe("known_hosts", secret_file),
        out=table.take("out", flag, default=False),
    )


def _check_roots(placed: list[_Placed], store: str) -> None:
    """No two nodes share a folder of one machine, and none lies in another's or in the release store."""
    owners: dict[tuple[tuple[str, int], str], str] = {}
    usable = [(machine(p.node.ssh_target), p) for p in placed if p.node.ssh_target and p.node.release_root]
    for where, (table, tier, node) in usable:
        key = (where, node.release_root)
        if key in owners:
            table.problem(f"is node {owners[key]}'s folder too; give each node its own", "release_root")
        owners.setdefault(key, "/".join(filter(None, (tier, node.name))) or "above")
        if where[0] == LOCAL and store and _collides(node.release_root, store):
            table.problem(f"overlaps the release store {store}; keep them apart", "release_root")
    for where, (table, _, node) in usable:
        around = (owners.get((where, str(parent))) for parent in PurePosixPath(node.release_root).parents)
        outer = next(filter(None, around), None)
        if outer:
            table.problem(f"lies inside node {outer}'s folder; keep them apart", "release_root")


def _collides(node_root: str, store: str) -> bool:
    """The node lies in the store, or the store where sando keeps the node's own releases."""
    mine = [PurePosixPath(node_root, part) for part in ("releases", "current", ".sando")]
    inside = PurePosixPath(node_root).is_relative_to(store)
    return inside or any(PurePosixPath(store).is_relative_to(part) for part in mine)
