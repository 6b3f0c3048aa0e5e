"""Whether an older release still runs on the schema that a newer one leaves: what rehearsals found out, and what follows.

A rollback never touches the database (SPEC 7), so what counts is not the current version alone, but every version
whose migrations may be in there.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import combinations
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from sando.model.tier import TierState
from sando.model.topology import TierSpec

Safe: TypeAlias = Literal["yes", "no", "unknown"]
Pairs: TypeAlias = Mapping[tuple[str, str], Safe]
"""By (new, old): does `old` run on the schema of `new`? What was never asked is not in it."""

FACT = "rollback_safe"
"""What a gate's facts call it: `{"0.8.1": "yes"}`."""

_WORDS: tuple[Safe, ...] = get_args(Safe)


class Safety(Struct, frozen=True):
    """What the rehearsal of `new` in `operation` found out about `old`."""

    new: str
    old: str
    safe: Safe
    operation: int
    at: datetime


def found_out(
    new: str, facts: Mapping[str, object], operation: int, at: datetime, before: Pairs
) -> tuple[Safety, ...]:
    """What the facts of a gate of `new` tell anew; an `unknown` never takes the place of a yes or a no."""
    told = facts.get(FACT)
    found: list[Safety] = []
    for old, word in told.items() if isinstance(told, dict) else ():
        safe = next((w for w in _WORDS if w == word), None)
        if safe and not (safe == "unknown" and before.get((new, old), safe) != safe):
            found.append(Safety(new, str(old), safe, operation, at))
    return tuple(found)


def running_on(tiers: Iterable[tuple[TierSpec, TierState]]) -> tuple[str, ...]:
    """What runs there now, tier by tier: the current version, and what single nodes are on."""
    found: list[str | None] = []
    for spec, state in tiers:
        nodes = [state.nodes[n.name] for n in spec.nodes if n.name in state.nodes]
        found += [state.current_version, *(v for n in nodes for v in (n.version, n.observed))]
    return tuple(dict.fromkeys(v for v in found if v))


def unsafe(pairs: Pairs, new: str) -> tuple[str, ...]:
    """The versions that do not run on the schema of `new`, as far as is known."""
    return tuple(sorted(old for (of, old), safe in pairs.items() if of == new and safe == "no"))


class Way(Struct, frozen=True):
    """May one go back? `new` and `old` are the pair that says so."""

    safe: Safe
    new: str
    old: str


_WORST_FIRST: tuple[Safe, ...] = ("no", "unknown", "yes")


def worst(ways: Iterable[Way]) -> Way:
    """Of several that are as bad, the last: that of the newest schema."""
    return min(reversed(tuple(ways)), key=lambda way: _WORST_FIRST.index(way.safe))


def way_back(state: TierState, target: str, pairs: Pairs) -> Way:
    """May the tier step back to `target`? The worst of what the current version says, and whatever came after both.

    What a rollback left, or a deploy that failed, came after them: its migrations are still in the database.
    """
    order, current = arrivals(state), state.current_version
    if current is None:
        return Way("unknown", "", target)
    place = {version: n for n, version in enumerate(order)}
    since = max(place[current], place.get(target, 0))
    tops = (current, *order[since + 1 :])
    return worst(_between(order, top, target, pairs) for top in tops)


def asked_of(state: TierState) -> tuple[str, ...]:
    """The versions that have a say in a step back of the tier; none where there is nothing to go back to."""
    if state.previous is None:
        return ()
    order, target = arrivals(state), state.previous.version
    return tuple(dict.fromkeys((str(state.current_version), *order[order.index(target) + 1 :])))


def half_back(state: TierState, pairs: Pairs) -> Way | None:
    """May the nodes that half hold another version go back to the current one? None where there are none."""
    current, half = state.current_version, state.half
    if half is None or current is None or half.version == current:
        return None
    return direct(half.version, current, pairs)


def direct(new: str, old: str, pairs: Pairs) -> Way:
    return Way(pairs.get((new, old), "unknown"), new, old)


def arrivals(state: TierState) -> tuple[str, ...]:
    """Every version that may have migrated the tier's database, by its first time."""
    early = (s.version for s in state.stays if s.version not in state.migrated_by)
    return tuple(dict.fromkeys((*early, *state.migrated_by)))


def _between(order: tuple[str, ...], top: str, target: str, pairs: Pairs) -> Way:
    """What was rehearsed counts. Else one `no` on the way is a no, and many a yes is no yes.

    2 may have stopped to read a column that 3 drops: 3 to 2 and 2 to 1 are safe then, and 3 to 1 is not.
    """
    known = direct(top, target, pairs)
    if known.safe != "unknown" or target not in order:
        return known
    way = order[order.index(target) : order.index(top) + 1]
    return worst(
        (known, *(w for old, new in combinations(way, 2) if (w := direct(new, old, pairs)).safe == "no"))
    )
