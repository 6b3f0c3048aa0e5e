"""GET /releases: what was built, and what is in it. Reading only."""

import falcon

from api import query, shown
from api.collaborators import Collaborators
from api.errors import problem
from api.resources import names
from api.resources.operations import cursor


def listing(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    found, after = given.store.release_page(before=cursor(req), limit=query.limit(req))
    resp.content_type = falcon.MEDIA_JSON
    resp.data = shown.encode({"releases": [shown.release(r) for r in found], "next": after})


def one(given: Collaborators, _req: falcon.Request, resp: falcon.Response, version: str) -> None:
    found = given.store.release(names.version(version))
    if found is None:
        raise problem(404, "unknown_version", f"no release is called {version}", "GET /releases lists them")
    manifest = given.manifest(version) if found.present else None
    resp.content_type = falcon.MEDIA_JSON
    safe = {old: known for (_, old), known in given.store.safety(version).items()}
    more = {"manifest": manifest and shown.manifest(manifest), "rollback_safe": safe}
    resp.data = shown.encode(shown.release(found) | more)
