"""Requests made from openapi.json, right ones and wrong ones, by each scope, to the real actors (issue 5, SPEC 12).

No answer is a 5xx, each has a status and a shape that the file names, what the file forbids is refused, and what it allows
is not called malformed. `SANDO_REQUESTS` is how many are made for each scope and mode; before a release 20,000.
"""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection

from sando.model.topology import TokenSpec
from tests.api.conforming import DOCUMENT, check
from tests.api.house import House

MANY = int(os.environ.get("SANDO_REQUESTS", "100"))
SCOPES = ("read", "build", "operate")
KNOWN = {
    "tier": ("mm", "a", "b", "z", "c", "all", "x"),
    "gate": ("cargo_test", "manual_confirm", "burn_in"),
    "version": ("1.0", "1.1", "9.9"),
    "operation": (1, 2, 3, 99),
}
"""Names that lead somewhere; what is made from a pattern alone never does."""
MALFORMED = {"bad_json", "bad_field", "unsupported_media_type", "too_large", "method_not_allowed"}
OURS = {
    ("expires", "lies in the past"): "a schema cannot say what time it is",
    ("expires", "RFC3339"): "RFC 3339 has a second 60, and a year 0, which datetime has not",
    ("cursor", "another name"): "it knows nothing of two parameters that exclude each other",
}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """1.0 is on a and b, 1.1 on a; every scope has a token."""
    with tempfile.TemporaryDirectory(prefix="sando-") as folder:
        made = House(Path(folder)).on("b", "1.0").on("a", "1.1")
        made.tokens = [TokenSpec(s, s, hashlib.sha256(s.encode()).hexdigest()) for s in SCOPES]
        yield made
        made.stage.store.close()


@pytest.fixture(scope="module")
def schema(house: House) -> Any:
    """Of everything but the tokens: each request gets the one of its scope."""
    paths = {
        path: {method: {**told, "security": []} for method, told in operations.items()}
        for path, operations in DOCUMENT["paths"].items()
    }
    loaded = schemathesis.openapi.from_dict(
        {**DOCUMENT, "paths": paths, "security": []}, config=SchemathesisConfig()
    )
    loaded.app = house.app
    return loaded


CALMLY = settings(
    max_examples=MANY, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("scope", SCOPES)
def test_whatever_the_file_describes_is_answered_as_it_says(
    house: House, schema: Any, scope: str, mode: Any
) -> None:
    seen: Counter[int] = Counter()
    requests = schema.as_strategy(mode)

    @CALMLY
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        case = data.draw(requests)
        if mode.is_positive:
            named(case, data)
        assume(not any(lost(value) for value in (case.query or {}).values()))
        hurried(case)
        seen[answered(case, scope, mode)] += 1

    ask()
    usual = {"read": {403}, "build": {403}, "operate": {404}}[scope] | ({422} if mode.is_negative else {200})
    assert usual <= seen.keys(), seen


def named(case: Any, data: st.DataObject) -> None:
    """Half of the names are those of something."""
    for name in case.path_parameters:
        if data.draw(st.booleans()):
            case.path_parameters[name] = data.draw(st.sampled_from(KNOWN[name]))


def lost(value: Any) -> bool:
    """There is no way to write it into a query: what was wrong with it does not arrive."""
    return value is None or (isinstance(value, list | dict) and not any(not lost(v) for v in value))


def hurried(case: Any) -> None:
    """Nothing that is asked here will ever happen, so nobody waits for it."""
    for name in ("wait", "follow"):
        if name in (case.query or {}) and isinstance(case.query[name], int | float | str):
            case.query[name] = (
                {"wait": "0.001", "follow": "0"}[name] if plain(case.query[name]) else case.query[name]
            )


def plain(value: Any) -> bool:
    return str(value).replace(".", "", 1).isalnum()


def answered(case: Any, scope: str, mode: Any) -> int:
    response = case.call(headers={"Authorization": f"Bearer {scope}"})
    path = unquote(urlsplit(response.request.url).path)
    kind = (response.headers.get("content-type") or [""])[0]
    check(case.method, path, response.status_code, kind, response.content)
    assert response.status_code < 500, response.content
    if mode.is_negative:
        case.validate_response(response, checks=[negative_data_rejection])
    elif kind == "application/problem+json":
        not_called_malformed(response.json(), case)
    return int(response.status_code)


def not_called_malformed(told: dict[str, Any], case: Any) -> None:
    if told["code"] in MALFORMED:
        assert any(field in told["detail"] and why in told["detail"] for field, why in OURS), (told, case)
