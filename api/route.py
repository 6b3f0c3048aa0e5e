"""A row of the table of routes, and what follows from it: every status and code that the path can answer."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from api.bodies import Body
from api.call import Answer
from api.query import NoQuery, Query
from api.resources.names import PATH, Name
from sando.model.codes import CODES

Method = Literal["GET", "POST", "DELETE"]
Scope = Literal["open", "read", "build", "operate"]

PARAMETER = re.compile(r"\{([a-z]+)\}")

_ALWAYS = (
    "bad_request", "host_not_allowed", "origin_not_allowed", "request_timeout", "too_large", "bad_field",
    "headers_too_large", "internal", "too_many_connections",
)  # fmt: skip
_WITH_BODY = ("bad_json", "unsupported_media_type")
_OF_ACTS = (
    "request_in_progress", "idempotency_key_reused", "draining", "degraded", "restarting", "outcome_unknown",
    "store_unavailable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """`scope` is what a token needs; `open` needs none, ever. `about` is for the README and the OpenAPI file.

    `answers` has the type of each answer that is no error, by status; a text is a media type that is not JSON, None is
    an answer without a body. `codes` are the errors of its own.
    """

    method: Method
    path: str
    scope: Scope
    respond: Callable[..., Answer | None]
    about: str
    answers: Mapping[int, type[Struct] | str | None]
    codes: tuple[str, ...] = ()
    query: type[Query] = NoQuery
    body: type[Body] | None = None
    reads: Mapping[str, Name] = field(default_factory=dict)
    """Parameters of the path that are read in another way than `PATH` says."""
    headers: tuple[str, ...] = ()
    """That come with its answers."""

    @property
    def acts(self) -> bool:
        return self.method != "GET"

    @property
    def names(self) -> dict[str, Name]:
        """The parameters of the path, in their order."""
        return {name: self.reads.get(name, PATH[name]) for name in PARAMETER.findall(self.path)}

    @property
    def errors(self) -> dict[int, tuple[str, ...]]:
        """Every code that it can refuse with, by status."""
        known = list(_ALWAYS)
        known += [] if self.scope == "open" else ["auth_required"]
        known += ["scope_required"] if self.scope in {"build", "operate"} else []
        known += [name.code for name in self.names.values()]
        known += _WITH_BODY if self.body else ()
        known += _OF_ACTS if self.acts else ()
        known += self.codes
        statuses = sorted({CODES[code].status for code in known})
        return {s: tuple(dict.fromkeys(c for c in known if CODES[c].status == s)) for s in statuses}
