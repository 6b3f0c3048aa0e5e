"""The WSGI application: the table of routes, the guard before them, one form of error. It opens no socket."""

from functools import partial
from typing import Any

import falcon

from api import errors
from api.auth import Bearer, Guard
from api.collaborators import Collaborators
from api.routes import ROUTES, Route


class Door:
    """What falcon calls a resource: the responders of one path, by method. HEAD is GET without its body."""

    def __init__(self, collaborators: Collaborators, routes: list[Route]) -> None:
        self.scopes = {route.method: route.scope for route in routes}
        for route in routes:
            respond = partial(route.respond, collaborators)
            setattr(self, f"on_{route.method.lower()}", respond)
            if route.method == "GET":
                self.on_head = respond
        gets = {"HEAD"} if "GET" in self.scopes else set()
        self.methods = sorted({*self.scopes, *gets, "OPTIONS"})


class Methods:
    """Middleware after routing: a method that falcon has never heard of is as wrong as any other."""

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, resource: Door, _params: dict[str, str]
    ) -> None:
        if req.method not in resource.methods:
            raise falcon.HTTPMethodNotAllowed(resource.methods)


def create_app(collaborators: Collaborators) -> falcon.App[falcon.Request, falcon.Response]:
    middleware: list[Any] = [Guard(collaborators), Bearer(collaborators), Methods()]
    app = falcon.App(middleware=middleware)
    app.req_options.auto_parse_qs_csv = False
    errors.install(app)
    for path in dict.fromkeys(route.path for route in ROUTES):
        app.add_route(path, Door(collaborators, [r for r in ROUTES if r.path == path]))
    return app
