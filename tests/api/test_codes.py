"""Every code of the contract, provoked over the API on the real actors; and no code that is not in the list."""

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from actors.messages import Rebuild
from api.crowd import Crowd, Limits
from api.server import SETTINGS
from sando.model.codes import CODES, GENERAL, NOTES, general
from sando.model.errors import WorkError
from sando.model.record import Fact
from sando.model.safety import Safety
from sando.model.topology import FreezeSpec, TokenSpec
from sando.work.outcome import Aborted, Failed
from tests.api.conforming import check
from tests.api.house import House, usual
from tests.api.room import dial, read_all, serving
from tests.factories import CONFIRM, nodes, tier, topology

ROOT = Path(__file__).resolve().parents[2]
RED = Failed(WorkError("start", "the probe stayed red"))
LOST = Failed(WorkError("connect", "connection lost", errored=True))
MOST_HEADERS = SETTINGS["max_request_header_size"]
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "A" * 22 + "=="}
KEY = {"Idempotency-Key": "one"}

Provoke = Callable[[House], Any]
PROVOKED: dict[str, Provoke] = {}
FOUND: dict[str, Provoke] = {}


def provokes(*codes: str, of: dict[str, Provoke] = PROVOKED) -> Callable[[Provoke], Provoke]:
    def keep(scene: Provoke) -> Provoke:
        for code in codes:
            assert code not in of
            of[code] = scene
        return scene

    return keep


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_every_code_has_a_scene_and_no_scene_is_of_a_code_that_is_not_listed() -> None:
    assert PROVOKED.keys() == CODES.keys()
    assert FOUND.keys() == NOTES.keys()


@pytest.mark.parametrize("code", PROVOKED)
def test_a_code_is_provoked_with_its_status_and_title(house: House, code: str) -> None:
    answer = PROVOKED[code](house)
    told, known = answer.json, CODES[code]
    assert (answer.status_code, told["status"], told["code"], told["title"]) == (
        known.status, known.status, code, known.title,
    ), answer.text  # fmt: skip
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("code", FOUND)
def test_an_answer_says_why_its_operation_is_not_a_new_one(house: House, code: str) -> None:
    answer = FOUND[code](house)
    assert (answer.status_code, answer.json["code"]) == (NOTES[code].status, code), answer.text


# -- the request itself ------------------------------------------------------------------------------------------------


def guarded(house: House) -> None:
    digest = hashlib.sha256(b"secret").hexdigest()
    house.tokens = [TokenSpec("max", "read", digest)]


@provokes("bad_request")
def _(house: House) -> Any:
    return house.on("a", "1.0").post("/promote/b", {"reset_burn_in": True})


@provokes("bad_json")
def _(house: House) -> Any:
    return house.client.simulate_post("/promote/a", body=b"{", headers={"Content-Type": "application/json"})


@provokes("auth_required")
def _(house: House) -> Any:
    guarded(house)
    return house.get("/state")


@provokes("scope_required")
def _(house: House) -> Any:
    guarded(house)
    return house.post("/promote/a", headers={"Authorization": "Bearer secret"})


@provokes("host_not_allowed")
def _(house: House) -> Any:
    return house.get("/state", headers={"Host": "evil.example"})


@provokes("origin_not_allowed")
def _(house: House) -> Any:
    return house.get("/state", headers={"Origin": "http://evil.example"})


@provokes("not_found")
def _(house: House) -> Any:
    return house.get("/operations/7")


@provokes("method_not_allowed")
def _(house: House) -> Any:
    return house.post("/state")


@provokes("too_large")
def _(house: House) -> Any:
    return house.post("/promote/a", {"reason": "x" * 70_000})


@provokes("unsupported_media_type")
def _(house: House) -> Any:
    return house.client.simulate_post("/promote/a", body=b"{}", headers={"Content-Type": "text/plain"})


@provokes("bad_field")
def _(house: House) -> Any:
    return house.post("/promote/a", {"hotfx": True})


@provokes("upgrade_required")
def _(house: House) -> Any:
    return house.get("/events", headers=UPGRADE | {"Sec-WebSocket-Version": "12"})


@provokes("not_implemented")
def _(house: House) -> Any:
    return house.get("/events", headers=UPGRADE | {"Sec-WebSocket-Version": "13"})


def over_a_socket(house: House, request: bytes, *, full: bool = False, **settings: Any) -> Any:
    """What a real server answers; `full`: as many clients as may follow something already."""
    with serving(house, **settings) as server:
        if full:
            server._streams.reserve = lambda _: False
        sock = dial(server)
        sock.sendall(request)
        answer = read_all(sock)
    return heard(answer, request.split()[1].decode().partition("?")[0])


def heard(answer: bytes, path: str) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
    status = int(head.split()[1])
    check("GET", path, status, lines["content-type"], body)
    return SimpleNamespace(
        status_code=status, json=msgspec.json.decode(body), headers=lines, text=body.decode()
    )


@provokes("too_many_connections")
def _(house: House) -> Any:
    with serving(house, crowd=Crowd(Limits(most_of_one=0))) as server:
        return heard(read_all(dial(server)), "/state")


@provokes("headers_too_large")
def _(house: House) -> Any:
    start = b"GET /state HTTP/1.1\r\nHost: localhost\r\nX: "
    return over_a_socket(house, start + b"x" * (MOST_HEADERS - len(start)))


@provokes("request_timeout")
def _(house: House) -> Any:
    return over_a_socket(house, b"GET /state HTTP/1.1\r\nHost: local", crowd=Crowd(Limits(headers_s=0.05)))


@provokes("too_many_streams")
def _(house: House) -> Any:
    house.all_end = False
    house.push("1.0")
    house.post("/rebuild")
    request = b"GET /operations/1?wait=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return over_a_socket(house, request, full=True)


# -- an Idempotency-Key ------------------------------------------------------------------------------------------------


@provokes("request_in_progress")
def _(house: House) -> Any:
    house.silent = True
    assert house.post("/backup/fetch", headers=KEY).json["code"] == "outcome_unknown"
    return house.post("/backup/fetch", headers=KEY)


@provokes("idempotency_key_reused")
def _(house: House) -> Any:
    assert house.post("/backup/fetch", headers=KEY).status_code == 202
    return house.post("/backup/fetch", {"reason": "another"}, headers=KEY)


# -- names -----------------------------------------------------------------------------------------------------------


@provokes("unknown_tier")
def _(house: House) -> Any:
    return house.post("/promote/nowhere")


@provokes("unknown_version")
def _(house: House) -> Any:
    return house.post("/promote/a", {"version": "9.9"})


@provokes("unknown_sha")
def _(house: House) -> Any:
    return house.post("/rebuild", {"sha": "dead"})


@provokes("unknown_gate")
def _(house: House) -> Any:
    return house.post("/gates/a/nothing/run")


# -- builds ----------------------------------------------------------------------------------------------------------


@provokes("empty_repository")
def _(house: House) -> Any:
    return house.post("/rebuild")


@provokes("repository_unusable")
def _(house: House) -> Any:
    house.outcomes["lookup/"] = Failed(WorkError("git", "not a git repository"))
    return house.post("/rebuild")


@provokes("nothing_new")
def _(house: House) -> Any:
    house.stage.store.save(Fact("tip", house.push("1.0")))
    return house.post("/rebuild", {"moved": True})


@provokes("build_running")
def _(house: House) -> Any:
    house.all_end = False
    house.push("1.0")
    house.post("/rebuild")
    return house.post("/gates/mm/cargo_test/run")


# -- promotions ------------------------------------------------------------------------------------------------------


@provokes("not_promotable")
def _(house: House) -> Any:
    return house.post("/promote/mm")


@provokes("not_provisioned")
def _(house: House) -> Any:
    return house.post("/promote/z")


@provokes("nothing_to_promote")
def _(house: House) -> Any:
    return house.post("/promote/a")


@provokes("gates_not_passed")
def _(house: House) -> Any:
    return house.on("a", "1.0").post("/promote/b")


@provokes("release_missing")
def _(house: House) -> Any:
    house.green("1.0").stage.world.wrong["1.0"] = ("release_missing", "its folder is gone")
    return house.post("/promote/a")


@provokes("release_corrupt")
def _(house: House) -> Any:
    house.green("1.0").stage.world.wrong["1.0"] = ("release_corrupt", "server has another hash")
    return house.post("/promote/a")


@provokes("already_current")
def _(house: House) -> Any:
    return house.on("a", "1.0").post("/promote/a")


@provokes("version_marked_bad")
def _(house: House) -> Any:
    house.on("a", "1.0", "1.1").post("/rollback/a")
    return house.post("/promote/a", {"version": "1.1"})


@provokes("tier_mixed")
def _(house: House) -> Any:
    halting(house, "1.1")
    house.green("1.2")
    house.bring("a", "1.2")
    house.post("/confirm/a")
    return house.post("/promote/b")


def halting(house: House, version: str) -> None:
    """Tier b halts half way on this version."""
    spec = house.stage.world.declared.tier("b")
    change(house, replace(spec, on_failure="halt", gates=()))
    house.on("b", "1.0").on("a", version)
    house.post("/confirm/a")
    house.outcomes["/b-2/.*/start"] = RED
    assert house.post("/promote/b?wait=1").json["code"] == "operation_failed"
    house.outcomes.clear()


def change(house: House, *tiers: Any, **more: Any) -> Any:
    """sando.toml says something else of these tiers, and is read again."""
    world = house.stage.world
    by_name = {t.name: t for t in tiers}
    changed = tuple(by_name.get(t.name, t) for t in world.declared.tiers)
    world.declared = replace(world.declared, tiers=changed, **more)
    return house.post("/reload")


@provokes("tier_busy")
def _(house: House) -> Any:
    house.green("1.0").all_end = False
    house.post("/promote/a")
    return house.post("/promote/a")


@provokes("no_nodes")
def _(house: House) -> Any:
    house.green("1.0")
    change(house, tier("a", 0, CONFIRM, nodes=nodes("a", 1, out=True)))
    return house.post("/promote/a")


@provokes("locked")
def _(house: House) -> Any:
    house.green("1.0").post("/lock/a", {"reason": "audit"})
    return house.post("/promote/a")


@provokes("frozen")
def _(house: House) -> Any:
    house.green("1.0")
    change(house, freezes=(FreezeSpec(("a",), ()),))
    return house.post("/promote/a")


# -- rollbacks -------------------------------------------------------------------------------------------------------


@provokes("no_previous_version")
def _(house: House) -> Any:
    return house.on("a", "1.0").post("/rollback/a")


@provokes("not_rollbackable")
def _(house: House) -> Any:
    return house.on("a", "1.0", "1.1").post("/rollback/a", {"version": "0.9"})


@provokes("schema_incompatible")
def _(house: House) -> Any:
    house.on("a", "1.0", "1.1")
    house.stage.store.save(Safety("1.1", "1.0", "no", 1, house.stage.clock().at))
    return house.post("/rollback/a")


# -- people ----------------------------------------------------------------------------------------------------------


@provokes("tier_empty")
def _(house: House) -> Any:
    return house.post("/confirm/a")


@provokes("no_such_gate")
def _(house: House) -> Any:
    return house.on("c", "1.0").post("/confirm/c")


@provokes("gate_not_active")
def _(house: House) -> Any:
    return house.post("/gates/a/manual_confirm/run")


@provokes("not_current")
def _(house: House) -> Any:
    return house.on("a", "1.0").post("/confirm/a", {"version": "0.9"})


# -- operations ------------------------------------------------------------------------------------------------------


@provokes("not_running")
def _(house: House) -> Any:
    return house.green("1.0").post("/operations/1/abort")


@provokes("not_abortable")
def _(house: House) -> Any:
    house.on("a", "1.0", "1.1").all_end = False
    number = house.post("/rollback/a").json["id"]
    return house.post(f"/operations/{number}/abort")


@provokes("operation_failed")
def _(house: House) -> Any:
    house.green("1.0").outcomes["a-1/"] = RED
    return house.post("/promote/a?wait=1")


@provokes("operation_errored")
def _(house: House) -> Any:
    house.green("1.0").outcomes["a-1/"] = LOST
    return house.post("/promote/a?wait=1")


@provokes("operation_aborted")
def _(house: House) -> Any:
    house.all_end = False
    house.push("1.0")
    house.post("/rebuild")
    house.outcomes["build/1$"] = Aborted()
    house.all_end = True
    return house.post("/operations/1/abort?wait=1")


@provokes("operation_superseded")
def _(house: House) -> Any:
    house.all_end = False
    house.push("1.0")

    def newer() -> None:
        house.push("1.1")
        house.stage.tell(Rebuild())
        house.all_end = True
        house.settle()

    house.then = newer
    return house.post("/rebuild?wait=1")


@provokes("operation_interrupted")
def _(house: House) -> Any:
    house.all_end = False
    house.push("1.0")

    def stops() -> None:
        house.stage.shut_down()
        house.all_end = True
        house.settle()

    house.then = stops
    return house.post("/rebuild?wait=1")


# -- the configuration -----------------------------------------------------------------------------------------------


@provokes("no_backup_configured")
def _(house: House) -> Any:
    house.stage.world.declared = topology(*usual().tiers, backup=False)
    house.post("/reload")
    return house.post("/backup/fetch")


@provokes("no_notifiers")
def _(house: House) -> Any:
    return house.post("/notify/test")


@provokes("unknown_notifier")
def _(house: House) -> Any:
    house.notifiers = ("chat",)
    return house.post("/notify/test", {"name": "chatt"})


@provokes("needs_restart")
def _(house: House) -> Any:
    house.stage.world.declared = topology(tier("a", 1))
    house.stage.world.declared = replace(
        house.stage.world.declared, tiers=(tier("a", 1), *house.stage.world.declared.tiers)
    )
    return house.post("/reload")


@provokes("still_running")
def _(house: House) -> Any:
    house.on("a", "1.0")
    return change(house, tier("a", 0, CONFIRM))


@provokes("config_rejected")
def _(house: House) -> Any:
    house.stage.world.broken = "sando.toml:3: unknown key"
    return house.post("/reload")


# -- sandod itself ---------------------------------------------------------------------------------------------------


@provokes("internal")
def _(house: House) -> Any:
    house.stage.store.operations = lambda **_: 1 / 0
    return house.get("/operations")


@provokes("starting")
def _(house: House) -> Any:
    house.board._latest = None
    return house.get("/state")


@provokes("draining")
def _(house: House) -> Any:
    house.stage.shut_down()
    return house.post("/backup/fetch")


@provokes("degraded")
def _(house: House) -> Any:
    for _ in range(6):
        house.stage.crash(house.stage.actor("a"))
        house.stage.drain()
    return house.post("/confirm/a")


@provokes("restarting")
def _(house: House) -> Any:
    house.silent = True

    def dies() -> None:
        house.stage.handle(house.stage.actor("root"))
        house.stage.crash(house.stage.actor("supervisor"), instead=True)

    house.then = dies
    return house.post("/backup/fetch")


@provokes("outcome_unknown")
def _(house: House) -> Any:
    house.silent = True
    return house.post("/backup/fetch")


@provokes("store_unavailable")
def _(house: House) -> Any:
    house.stage.store.away = -1
    return house.post("/backup/fetch")


# -- operations that were there before -------------------------------------------------------------------------------


@provokes("already_building", of=FOUND)
def _(house: House) -> Any:
    house.all_end = False
    house.push("1.0")
    house.post("/rebuild")
    return house.post("/rebuild")


@provokes("already_built", of=FOUND)
def _(house: House) -> Any:
    return house.green("1.0").post("/rebuild")


@provokes("already_accepted", of=FOUND)
def _(house: House) -> Any:
    house.push("1.0")
    house.outcomes["build/1$"] = RED
    house.post("/rebuild")
    return house.post("/rebuild", {"moved": True})


@provokes("already_running", of=FOUND)
def _(house: House) -> Any:
    house.all_end = False
    house.post("/backup/fetch")
    return house.post("/backup/fetch")


@provokes("aborting", of=FOUND)
def _(house: House) -> Any:
    house.on("a", "1.0").green("1.1").all_end = False
    house.post("/promote/a")
    return house.post("/rollback/a", {"abort_running": True})


# -- what the sources say --------------------------------------------------------------------------------------------

MADE_UP = {
    ("sando/model/hurdles.py", "code"),  # a_good_release: of a look at the release's folder
    ("api/followers.py", "f'operation_{status}'"),  # judged: of an operation that has ended
    ("api/errors.py", "code"),  # problem: what it was given
    ("api/errors.py", "general(status)"),
    ("api/connection.py", "general(error.code)"),
    ("api/connection.py", "general(408)"),
}
"""Where a code is not written out. What they can be is in the list, as the scenes above show."""


OTHERS = ("sando/config/", "sando/work/")
"""There a `problem` is of a file, and a `Refusal` is the kernel's, of a program."""


def refusals() -> list[tuple[str, ast.Call]]:
    """Every place that makes a refusal: status first, code second."""
    found = []
    for folder in ("sando", "actors", "api"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Refusal", "problem"}:
                    found += [(str(path.relative_to(ROOT)), node)]
    return [(where, call) for where, call in found if len(call.args) >= 2 and not where.startswith(OTHERS)]


def said(call: ast.Call) -> list[Any]:
    return [a.value if isinstance(a, ast.Constant) else ast.unparse(a) for a in call.args[:2]]


def test_no_refusal_has_a_code_that_is_not_listed_or_another_status_than_it() -> None:
    written = [
        (where, call, *said(call)) for where, call in refusals() if isinstance(call.args[1], ast.Constant)
    ]
    places = {w for w, *_ in written}
    assert len(places) > 20, places
    wrong = [(w, call.lineno, s, c) for w, call, s, c in written if c not in CODES or CODES[c].status != s]
    assert wrong == []


def test_codes_that_are_not_written_out_come_from_places_that_are_known() -> None:
    other = {(where, said(c)[1]) for where, c in refusals() if not isinstance(c.args[1], ast.Constant)}
    assert other == MADE_UP


def test_every_listed_code_is_written_somewhere() -> None:
    texts = "".join(
        p.read_text()
        for f in ("sando", "actors", "api")
        for p in (ROOT / f).rglob("*.py")
        if p.name != "codes.py"
    )
    made_up = {f"operation_{s}" for s in ("failed", "errored", "aborted", "superseded", "interrupted")}
    unsaid = {code for code in CODES if f'"{code}"' not in texts}
    assert unsaid - made_up <= set(GENERAL.values())
    assert {note for note in NOTES if f'"{note}"' not in texts} == set()


def test_what_others_refuse_has_the_code_of_its_status() -> None:
    assert all(CODES[code].status == status for status, code in GENERAL.items())
    assert (general(418), general(502)) == ("bad_request", "internal")
