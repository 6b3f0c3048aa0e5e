"""GET /releases: what was built, what is in it, and where it is. Reading only."""

import msgspec

from api import query, shown
from api.bodies import NoBody
from api.call import Answer, Call, told
from api.collaborators import Collaborators
from api.errors import problem
from api.query import NoQuery
from api.resources.state import starting
from sando.model import wire
from sando.model.release import Release
from sando.model.topology import Topology
from sando.model.whereabouts import gates_of, marks_on, runs_on


def listing(call: Call[query.Page, NoBody]) -> Answer:
    found, after = call.given.store.release_page(before=call.query.place, limit=call.query.limit)
    return told(wire.ReleasePage(tuple(shown.release(r) for r in found), after))


def one(call: Call[NoQuery, NoBody], version: str) -> Answer:
    given = call.given
    latest = given.board.latest
    if latest is None:
        raise starting()
    with given.store.reading():
        found = given.store.release(version)
        if found is None:
            hint = "GET /releases lists them"
            raise problem(404, "unknown_version", f"no release is called {version}", hint)
        return told(_detail(given, latest.topology, found))


def _detail(given: Collaborators, topology: Topology, release: Release) -> wire.ReleaseDetail:
    store, version = given.store, release.version
    states = {t.name: store.tier(t.name, recent=1) for t in topology.tiers}
    last = {t.name: store.last_stay(t.name, version) for t in topology.tiers}
    stays = {name: stay for name, stay in last.items() if stay}
    tried = tuple(reversed(store.gate_runs(release.operation)))
    manifest = given.manifest(version) if release.at_hand else None
    return wire.ReleaseDetail(
        **msgspec.structs.asdict(shown.release(release)),
        manifest=shown.manifest(manifest) if manifest else None,
        runs_on=runs_on(topology, states, version),
        gates=gates_of(topology, states, stays, tried, given.clock()),
        marks=marks_on(topology, states, version),
        rollback_safe={old: known for (_, old), known in store.safety(version).items()},
    )
