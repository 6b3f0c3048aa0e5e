"""Which releases of the store may go (SPEC 10). Pure; it never names one that is current, a target, or in use."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sando.model.operation import Operation
from sando.model.release import Release
from sando.model.tier import TierState
from sando.model.topology import TierSpec, Topology

RED_FOR = timedelta(hours=24)
"""A release that never turned green keeps its folder this long, for whoever wants to look at it."""


def kept_of(state: TierState, keep: int) -> set[str]:
    """The newest `keep` versions that a tier ever ran, and whatever it stands on or may go back to.

    One that a rollback left counts too: somebody may want to look at it, or to force it back.
    """
    newest = list(dict.fromkeys(s.version for s in reversed(state.stays)))[:keep]
    must = [
        state.current_version,
        state.previous and state.previous.version,
        state.half and state.half.version,
    ]
    gating = [state.gating.version] if state.gating else []
    on_nodes = [v for n in state.nodes.values() for v in (n.version, n.observed)]
    return {v for v in (*newest, *must, *gating, *on_nodes) if v}


def removable(
    releases: Iterable[Release],
    topology: Topology,
    states: Iterable[TierState],
    unfinished: Iterable[Operation],
    now: datetime,
) -> tuple[Release, ...]:
    """The releases whose folders may go. A tier that the file no longer names still keeps what it stood on."""
    specs = {t.name: t for t in topology.tiers}
    kept = {o.version for o in unfinished if o.version}
    for state in states:
        kept |= kept_of(state, specs.get(state.name, TierSpec(state.name, provisioned=False)).keep_releases)
    gone = []
    for release in releases:
        spare = release.green or now - release.built_at > RED_FOR
        if release.present and release.version not in kept and spare:
            gone.append(release)
    return tuple(gone)
