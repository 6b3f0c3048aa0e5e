"""What a look at a node that no operation asked for changes: recorded and observed are two things (SPEC 6). Pure."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from sando.model.tier import NodeState, TierState


class Seen(Struct, frozen=True):
    """The tier after the look; at most one of the two is to be told."""

    state: TierState
    drift: bool = False
    """The node names something else than what was recorded, and than at the last look."""
    back: bool = False
    """A node that an operation lost sight of is on the tier's version again, by its dead-man switch or by hand."""


def seen(state: TierState, name: str, current: str | None, detail: str = "") -> Seen:
    """The node was asked, and its link names `current`; `detail` says what is strange about it.

    A link to a release that is not there names nothing: no service comes up from it again.
    """
    known = state.nodes.get(name) or NodeState(name)
    if known.status == "unknown":
        return _found_again(state, known, current, detail)
    told = detail if known.status == "ok" else known.detail
    node = replace(known, observed=current, reachable=True, detail=told)
    drift = current not in {known.version, known.observed}
    return Seen(_with(state, known, node), drift=drift)


def _found_again(state: TierState, known: NodeState, current: str | None, detail: str) -> Seen:
    """Nobody knows what it was left with, so what it names now is what it has."""
    node = known.found(current)
    state = state.with_node(replace(node, detail=node.detail or detail))
    if state.half and all(n.version != state.half.version for n in state.nodes.values()):
        state = replace(state, half=None)
    at_home = current == state.current_version
    back = at_home and known.version is not None and node.status == "ok"
    return Seen(state, drift=not at_home and current != known.observed, back=back)


def moved(state: TierState, names: Iterable[str]) -> TierState:
    """A reload has given these nodes another place: nothing is known of them until somebody has looked there."""
    why = "its ssh_target or release_root was changed by a reload, and nobody has looked there yet"
    for name in names:
        if name in state.nodes:
            state = state.with_node(NodeState(name, reachable=False, status="unknown", detail=why))
    return state


def lost(state: TierState, name: str, why: str) -> Seen:
    """The node could not be asked. What was known of it stays."""
    known = state.nodes.get(name) or NodeState(name)
    detail = why if known.status == "ok" else known.detail
    return Seen(_with(state, known, replace(known, reachable=False, detail=detail)))


def _with(state: TierState, known: NodeState, node: NodeState) -> TierState:
    """The same state where nothing is new: then nothing is stored."""
    return state if node == known and known.name in state.nodes else state.with_node(node)
