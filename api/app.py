"""The WSGI application: the table of routes, the guard before them, one form of error. It opens no socket."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import falcon

from api import bodies, errors, query
from api.auth import Bearer, Guard
from api.call import Call, give
from api.claims import Claims
from api.collaborators import Collaborators
from api.route import Route
from api.routes import ROUTES

_NO_BODY = bodies.NoBody()


class Door:
    """What falcon calls a resource: the responders of one path, by method. HEAD is GET without its body."""

    def __init__(self, given: Collaborators, claims: Claims, routes: Sequence[Route]) -> None:
        self.claims = claims
        self.scopes: dict[str, str] = {route.method: route.scope for route in routes}
        for route in routes:
            respond = partial(_respond, given, claims, route, route.names)
            setattr(self, f"on_{route.method.lower()}", respond)
            if route.method == "GET":
                self.on_head = respond
        gets = {"HEAD"} if "GET" in self.scopes else set()
        self.methods = frozenset({*self.scopes, *gets, "OPTIONS"})


def _respond(
    given: Collaborators,
    claims: Claims,
    route: Route,
    names: dict[str, Any],
    req: falcon.Request,
    resp: falcon.Response,
    **path: str,
) -> None:
    """Path, query and body are checked in this order, before anybody hears of the request."""
    read = {name: names[name].read(text) for name, text in path.items()}
    asked = query.read(req, route.query)
    body = bodies.read(req, route.body) if route.body else _NO_BODY
    answer = route.respond(Call(given, req, resp, claims, asked, body), **read)
    if answer is not None:
        give(resp, answer)


class Porter:
    """Middleware, one for all that is asked before a responder: each of its own costs /state a twentieth of its rate."""

    def __init__(self, collaborators: Collaborators) -> None:
        self._guard = Guard(collaborators)
        self._bearer = Bearer(collaborators)

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        self._guard.check(req)
        self._bearer.recognise(req)
        if req.path.startswith("//"):  # falcon would route it like one slash
            raise falcon.HTTPRouteNotFound

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, resource: Door, _params: dict[str, str]
    ) -> None:
        self._bearer.allow(req, resource.scopes)
        if req.method not in resource.methods:  # falcon has never heard of it
            raise falcon.HTTPMethodNotAllowed(sorted(resource.methods))


def create_app(
    collaborators: Collaborators, routes: Sequence[Route] = ROUTES
) -> falcon.App[falcon.Request, falcon.Response]:
    app = falcon.App(middleware=[Porter(collaborators)])
    app.req_options.auto_parse_qs_csv = False
    errors.install(app)
    claims = Claims(collaborators)
    for path in dict.fromkeys(route.path for route in routes):
        app.add_route(path, Door(collaborators, claims, [r for r in routes if r.path == path]))
    return app
