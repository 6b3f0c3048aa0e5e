"""What a reload would change, and whether it may (SPEC 2). Pure: the old and the new topology, and what runs."""

from collections.abc import Mapping

from msgspec import Struct

from sando.model.answers import Refusal
from sando.model.operation import Operation
from sando.model.tier import TierState
from sando.model.topology import DaemonSpec, NodeSpec, TierSpec, Topology

_SECTIONS = {"build": "build", "backup": "backup", "freezes": "freeze"}
_AT_ONCE = {
    "tokens": "token",
    "notify": "notify",
    "allowed_hosts": "allowed_hosts",
    "allow_anonymous": "allow_anonymous",
}
_WRITTEN = {"host": "listen", "port": "listen"}


class Change(Struct, frozen=True):
    """Names of tiers."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def compare(
    old: Topology,
    new: Topology,
    states: Mapping[str, TierState],
    busy: Mapping[str, Operation],
    *,
    force: bool,
) -> Change | Refusal:
    """The change as a whole, or the first reason against it; nothing is applied in part."""
    for tier in old.tiers:
        after = new.tier(tier.name)
        lost = _lost(tier, after)
        if lost and tier.name in busy:
            return _busy(tier.name, lost, busy[tier.name])
        if lost and not force and (held := _held(states.get(tier.name), after, lost)):
            return _holds(tier.name, held, states[tier.name], after)
    if old.build_tier.name != new.build_tier.name:
        hint = "stop sandod, change it, start it again"
        return Refusal(
            409, "needs_restart", f"the build tier {old.build_tier.name} cannot be replaced by a reload", hint
        )
    both = [t for t in old.tiers if new.tier(t.name)]
    return Change(
        added=tuple(t.name for t in new.tiers if old.tier(t.name) is None),
        removed=tuple(t.name for t in old.tiers if new.tier(t.name) is None),
        changed=tuple(t.name for t in both if new.tier(t.name) != t or _moved(t.name, old, new)),
    )


def _moved(name: str, old: Topology, new: Topology) -> bool:
    """Another one of those that are in both files comes before it now."""

    def before(these: Topology, those: Topology) -> str | None:
        found = None
        for tier in these.tiers:
            if tier.name == name:
                break
            found = tier.name if those.tier(tier.name) else found
        return found

    return before(old, new) != before(new, old)


def sections(old: Topology, new: Topology) -> tuple[str, ...]:
    """The sections of sando.toml beside the tiers that say something else, by their names there."""
    return tuple(name for key, name in _SECTIONS.items() if getattr(old, key) != getattr(new, key))


class Parts(Struct, frozen=True):
    """Keys of daemon.toml that say something else: some count at once, some from the next start on."""

    at_once: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


def parts(old: DaemonSpec, new: DaemonSpec) -> Parts:
    differing = [key for key in old.__struct_fields__ if getattr(old, key) != getattr(new, key)]
    later = dict.fromkeys(_WRITTEN.get(key, key) for key in differing if key not in _AT_ONCE)
    return Parts(tuple(_AT_ONCE[key] for key in differing if key in _AT_ONCE), tuple(later))


def _lost(before: TierSpec, after: TierSpec | None) -> tuple[str, ...]:
    """The nodes that the tier would lose, or reach by another way; all of them with the tier itself."""
    if after is None:
        return tuple(n.name for n in before.nodes) or (before.name,)
    gone = []
    for node in before.nodes:
        now = after.node(node.name)
        if now is None or elsewhere(node, now):
            gone.append(node.name)
    return tuple(gone)


def elsewhere(before: NodeSpec, after: NodeSpec) -> bool:
    """It is another place: what is known of the old one says nothing about it."""
    return (after.ssh_target, after.release_root) != (before.ssh_target, before.release_root)


def _held(state: TierState | None, after: TierSpec | None, lost: tuple[str, ...]) -> tuple[str, ...]:
    if state is None:
        return ()
    if after is None and state.current and not state.nodes:
        return lost
    return tuple(n for n in lost if n in state.nodes and state.nodes[n].version)


def _busy(tier: str, lost: tuple[str, ...], operation: Operation) -> Refusal:
    return Refusal(
        409,
        "tier_busy",
        f"the new file takes {', '.join(lost)} from tier {tier} while {operation.kind} {operation.id} runs on it",
        f"wait for /operations/{operation.id}, then reload",
        operation,
    )


def _holds(tier: str, held: tuple[str, ...], state: TierState, after: TierSpec | None) -> Refusal:
    names, runs = ", ".join(held), state.current_version
    if after and all(after.node(name) for name in held):
        return Refusal(
            409,
            "still_running",
            f"the new file gives {names} of tier {tier} another ssh_target or release_root, and {runs} runs at the present one",
            "`force` moves it all the same; what runs at the old place goes on, and the new one is looked at",
        )
    return Refusal(
        409,
        "still_running",
        f"the new file takes {names} from tier {tier}, where {runs} runs",
        "`force` takes it all the same; what runs there goes on, and sando forgets it",
    )
