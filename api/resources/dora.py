"""GET /dora: the four numbers of each tier that is promoted to. Reading only; `sando.store.dora` says what they count."""

from datetime import timedelta

from api import query
from api.bodies import NoBody
from api.call import Answer, Call, told
from api.resources.state import starting


def dora(call: Call[query.Days, NoBody]) -> Answer:
    given, days = call.given, call.query.days
    latest = given.board.latest
    if latest is None:
        raise starting()
    topology = latest.topology
    tiers = tuple(t.name for t in topology.tiers if t.provisioned and t is not topology.build_tier)
    until = given.clock().at
    return told(given.store.dora(tiers, until - timedelta(days=days), until, days))
