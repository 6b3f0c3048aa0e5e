"""GET /state, /metrics and /healthz: what is known already, without asking any actor."""

from api.bodies import NoBody
from api.call import JSON, NOT_MODIFIED, Answer, Call, told
from api.errors import Problem, problem
from api.query import NoQuery
from sando.model import wire

Plain = Call[NoQuery, NoBody]


def state(call: Plain) -> Answer:
    snapshot = call.given.board.latest
    if snapshot is None:
        raise starting()
    call.resp.set_header("ETag", snapshot.etag)
    if _matches(call.req.env.get("HTTP_IF_NONE_MATCH"), snapshot.etag):
        return NOT_MODIFIED
    return 200, JSON, snapshot.render(call.given.clock())


def starting() -> Problem:
    return problem(503, "starting", "sandod has not read its store yet", "try again in a moment")


def _matches(wanted: str | None, etag: str) -> bool:
    if wanted is None:
        return False
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in wanted.split(","))


def metrics(call: Plain) -> Answer:
    exposition = call.given.metrics()
    if exposition is None:
        raise problem(
            503, "starting", "sandod still counts what its store has kept", "scrape again in a moment"
        )
    body, kind = exposition
    return 200, kind, body


def healthz(_: Plain) -> Answer:
    """The server answers; whether the actors do is told by the watchdog of systemd."""
    return told(wire.Health())
