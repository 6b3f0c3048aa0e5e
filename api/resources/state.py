"""GET /state, /metrics and /healthz: what is known already, without asking any actor."""

import falcon

from api import shown
from api.collaborators import Collaborators
from api.errors import Problem, problem


def state(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    snapshot = given.board.latest
    if snapshot is None:
        raise starting()
    resp.set_header("ETag", snapshot.etag)
    if _matches(req.get_header("If-None-Match"), snapshot.etag):
        resp.status = 304
        return
    resp.content_type = falcon.MEDIA_JSON
    resp.data = snapshot.render(given.clock())


def starting() -> Problem:
    return problem(503, "starting", "sandod has not read its store yet", "try again in a moment")


def _matches(wanted: str | None, etag: str) -> bool:
    if wanted is None:
        return False
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in wanted.split(","))


def metrics(given: Collaborators, _req: falcon.Request, resp: falcon.Response) -> None:
    resp.data, resp.content_type = given.metrics()


def healthz(_given: Collaborators, _req: falcon.Request, resp: falcon.Response) -> None:
    """The server answers; whether the actors do is told by the watchdog of systemd."""
    resp.content_type = falcon.MEDIA_JSON
    resp.data = shown.encode({"status": "ok"})
