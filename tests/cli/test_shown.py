"""What people see: words instead of requests, colours only where they are wanted, tables that fit, nothing that harms."""

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.cli import output, wording
from sando.cli.table import GAP, Column, drawn, widths
from sando.client.shapes import Operation
from tests.cli.samples import an_operation, done
from tests.client.puppet import Answer, a_tier
from tui.rows import Segment
from tui.text import cells

HOSTILE = "\x1b[31mred\x1b]52;c;YQ==\x07\r\n\u202eevil\x9b2J\x00"

WORDS = [
    ("POST /confirm/a", "sando confirm a"),
    ("to clear it: POST /promote/b-2 or not", "to clear it: sando promote b-2 or not"),
    ("POST /gates/a/boot_smoke/run", "sando gate run a boot_smoke"),
    ("POST /rebuild with its sha, and `force`", "sando rebuild SHA --force"),
    ("POST /backup/fetch", "sando backup"),
    ("DELETE /lock/all lifts it", "sando unlock all lifts it"),
    ("GET /operations/7/log shows its output", "sando log 7 shows its output"),
    ("wait for /operations/7, or abort it", "wait for operation 7, or abort it"),
    ("look at /state and /operations before", "look at sando status and sando history before"),
    ("GET /releases lists them", "sando releases lists them"),
    ("`abort_running`: true stops it", "--abort-running stops it"),
    ("wait, or pass `override_freeze` with a `reason`", "wait, or pass --override-freeze with --reason"),
    ("the release /srv/state is missing", "the release /srv/state is missing"),
]


@pytest.mark.parametrize(("said", "shown"), WORDS)
def test_requests_are_shown_as_the_commands_that_make_them(said, shown):
    assert wording.in_commands(said) == shown


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({}, "promote 44 of 0.8.2 to a"),
        ({"kind": "rollback"}, "rollback 44 of 0.8.2 on a"),
        ({"kind": "build", "tier": "mm", "version": None}, "build 44 of 1a2b3c4"),
        ({"kind": "gate", "details": {"gate": "burn_in"}}, "gate burn_in, operation 44 of 0.8.2 on a"),
        ({"kind": "backup", "version": None, "sha": None}, "backup 44"),
    ],
)
def test_an_operation_is_named_by_what_it_does_to_what(more, line):
    import msgspec

    assert wording.subject(msgspec.convert(an_operation(**more), Operation)) == line


TWICE = "sandod died under this build twice; POST /rebuild tries it once more"


def test_what_sandod_says_to_do_is_told_as_a_command_wherever_it_is_shown(puppet, run):
    operation = done("errored", kind="build", tier="mm", version=None, error=TWICE)
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [operation], "next": None})
    gate = {
        "kind": "migration_dry_run",
        "outcome": "errored",
        "message": "none was fetched: POST /backup/fetch",
    }
    node = {"name": "a-1", "status": "failed", "detail": "it is away; set out = true on it and POST /reload"}
    puppet.tiers = [
        a_tier("a", gates=[gate], nodes=[node], status="degraded", detail="parked: POST /reload tries again")
    ]
    puppet.happen(kind="BuildFailed", data={"error": TWICE})
    puppet.happen(kind="GateDone", data={"gate": "x", "outcome": "errored", "message": gate["message"]})
    puppet.answers["GET", "/events"] = Answer(body={"events": puppet.log, "seq": 2})
    shown = [run("history").out, run("status").out, run("status", "a").out, run("events").out]
    for text in shown:
        assert "POST" not in text
    assert "sando rebuild tries it once more" in shown[0]
    assert shown[1].count("sando reload") == 2
    assert "none was fetched: sando backup" in shown[2]
    assert "sando rebuild tries it once more" in shown[3]


COLOURS = [
    ({}, True, True),
    ({}, False, False),
    ({"NO_COLOR": "1"}, True, False),
    ({"NO_COLOR": ""}, True, True),
    ({"FORCE_COLOR": "1"}, False, True),
    ({"CLICOLOR_FORCE": "1"}, False, True),
    ({"FORCE_COLOR": "0"}, False, False),
    ({"CLICOLOR": "0"}, True, False),
    ({"TERM": "dumb"}, True, False),
    ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
]


@pytest.mark.parametrize(("environ", "terminal", "expected"), COLOURS)
def test_colours_are_for_terminals_unless_somebody_says_otherwise(monkeypatch, environ, terminal, expected):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    assert output.colourful(stream) is expected


@pytest.mark.campaign
@given(st.text())
def test_nothing_that_was_said_moves_a_cursor(text):
    shown = output.painted([Segment(text, "bad")], colour=False)
    assert "\x1b" not in shown
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(), st.text())
def test_a_document_stays_the_same_document_and_harms_no_terminal(key, value):
    import contextlib

    import msgspec

    body = msgspec.json.encode({key: value})
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(out):
        output.document(body)
    text = out.buffer.getvalue().decode()
    assert msgspec.json.decode(text) == {key: value}
    assert not any(
        ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u200f\ufeff" for c in text.rstrip("\n")
    )


def test_where_there_is_no_unicode_signs_have_others_that_stand_for_them():
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    output.raw("✓ passed → b — 世\n", out)
    assert out.buffer.getvalue() == b"+ passed > b - ??\n"


COLUMNS = (Column("ID", right=True), Column("VERSION", 7), Column("STATUS", 6), Column("WHY", 3, gives=True))
ROWS = [
    ["7", "0.8.2+g1a2b3c4", Segment("succeeded", "ok"), "the branch moved, and more that is said of it"],
    ["1234", "1.0", "failed", "世界世界世界世界 and so on"],
    ["8", "1.1", "failed", HOSTILE],
]


def lines_of(rows) -> list[str]:
    return [output.painted(row, colour=False).rstrip() for row in rows]


def table(rows, size) -> list[str]:
    return lines_of(drawn(COLUMNS, rows, size))


@pytest.mark.parametrize("size", [20, 40, 60, 80, 120, 200])
def test_a_table_is_never_wider_than_the_terminal(size):
    lines = table(ROWS, size)
    assert len(lines) == 4
    assert all(cells(line) <= size for line in lines)
    assert "\x1b" not in "".join(lines)


def test_a_table_in_a_pipe_is_whole_and_aligned():
    lines = table(ROWS, None)
    assert lines[0] == "  ID  VERSION         STATUS     WHY"
    assert lines[1] == "   7  0.8.2+g1a2b3c4  succeeded  the branch moved, and more that is said of it"
    assert lines[2] == "1234  1.0             failed     世界世界世界世界 and so on"
    assert "…" not in "".join(lines)


def test_a_cut_has_a_sign_and_the_longest_text_is_cut_first():
    line = table(ROWS, 60)[1]
    assert line.startswith("   7  0.8.2+g1a2b3c4  succeeded  the branch")
    assert line.endswith("…")


def test_a_column_that_is_empty_everywhere_is_left_out():
    assert (
        lines_of(drawn((Column("A"), Column("B"), Column("C")), [["1", "", "x"], ["2", "", "y"]], 80))[0]
        == "A  C"
    )


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 12), st.booleans()), min_size=1, max_size=8),
    st.integers(20, 200),
)
def test_columns_share_the_room_that_there_is(columns, size):
    natural = [max(n, least) for n, least, _ in columns]
    found = widths([Column("", least, gives) for _, least, gives in columns], natural, size)
    room = sum(found) + GAP * (len(found) - 1)
    assert all(1 <= n <= most for n, most in zip(found, natural, strict=True))
    if sum(natural) + GAP * (len(natural) - 1) <= size:
        assert found == natural
    else:
        assert room <= size or set(found) == {1}


# -- the commands --------------------------------------------------------------------------------------------


def test_the_status_shows_tiers_gates_nodes_and_what_is_under_way(puppet, run):
    gates = [
        {"kind": "boot_smoke", "name": "boot_smoke", "outcome": "passed"},
        {"kind": "manual_confirm", "name": "manual_confirm", "outcome": "pending"},
    ]
    nodes = [
        {"name": "a-1", "version": "0.8.2", "observed": "0.8.2", "reachable": True, "status": "ok", "detail": ""},
        {"name": "a-2", "version": "0.8.2", "observed": None, "reachable": False, "status": "ok", "detail": f"gone {HOSTILE}"},
    ]  # fmt: skip
    lock = {"actor": "max", "reason": "audit", "at": "2026-11-23T12:00:00Z", "expires": None}
    puppet.tiers[1] |= {
        "gates": gates,
        "nodes": nodes,
        "lock": lock,
        "operation": 44,
        "marked_bad": ["0.8.0"],
    }
    puppet.more["build"] = {"operation": 45, "sha": "f" * 40, "phase": "gates", "started_at": None}
    build = {"kind": "build", "tier": "mm", "version": None, "sha": "f" * 40, "actor": "git", "step": "gates"}
    puppet.answers["GET", "/operations/45"] = Answer(body=an_operation(45, started_at=None, **build))
    out = run("status").out
    assert "TIER  VERSION  PREVIOUS  STATUS" in out
    for line in (
        "✓boot_smoke ?manual_confirm",
        "tier a: locked by max: audit",
        "tier a: marked bad: 0.8.0",
        "tier a: a-2 not reached: gone \\x1b[31mred",
        "build 45 of fffffff by git: gates on tier mm; sando wait 45 watches it",
        "operation 44 runs on tier a; sando wait 44 watches it",
    ):
        assert line in out
    assert "\x1b" not in out


def test_the_status_as_json_is_the_answer_of_the_api(puppet, run):
    puppet.more["unknown_yet"] = 1
    found = run("status", "--json").document
    assert found["unknown_yet"] == 1
    assert [t["name"] for t in found["tiers"]] == ["mm", "a"]


def test_one_tier_in_full(puppet, run):
    puppet.tiers[1] |= {"promotable": {"ready": False, "to": "b", "blocking": ["manual_confirm"]}}
    out = run("status", "a").out
    assert "tier a: 0.8.2, steady" in out
    assert "→ b: waits for manual_confirm" in out


def test_a_tier_that_is_not_there_is_told_with_those_that_are(run):
    ran = run("status", "staging")
    assert ran.code == 2
    assert "no tier is called 'staging'\n  there are mm, a\n" in ran.err


def test_an_empty_history_says_so(run):
    assert run("history").err == "nothing was done yet, or nothing like that\n"


def test_the_history_has_one_line_for_each_and_the_way_to_older_ones(puppet, run):
    error = f"a-1: start: {HOSTILE}\nmore"
    failed = done("failed", rolled_back=True, error=error, reason="mended")
    page = {"operations": [failed, done(number=43)], "next": 43}
    puppet.answers["GET", "/operations"] = Answer(body=page)
    ran = run("history", "a", "--kind", "promote", "-n", "2")
    assert "44  promote  a     0.8.2    failed, rolled back" in ran.out
    assert len(ran.out.splitlines()) == 3
    assert "(mended) a-1: start: " in ran.out, "why it was done, then why it failed"
    assert ran.err == "older ones: --before 43\n"
    assert puppet.asked[-1].query == {"tier": "a", "kind": "promote", "limit": "2"}


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (done(recovered=True), "succeeded, recovered"),
        (done("failed", recovered=True, rolled_back=True), "failed, rolled back, recovered"),
        (an_operation(details={"abort": "eva"}), "running, told to stop"),
        (done("aborted", details={"abort": "eva"}), "aborted "),
    ],
)
def test_the_history_marks_what_was_finished_after_a_crash_and_what_was_told_to_stop(
    puppet, run, operation, told
):
    puppet.answers["GET", "/operations"] = Answer(body={"operations": [operation], "next": None})
    out = run("history").out
    assert f"  {told}" in out
    assert ("by eva" in out) is ("told to stop" in told)


def test_dora_shows_four_numbers_for_each_tier(puppet, run):
    tier = {
        "name": "b", "lead_time": {"count": 3, "median_s": 3600, "p90_s": 7200},
        "deploy_frequency": {"count": 3, "per_day": 0.1}, "change_fail_rate": {"count": 1, "of": 4, "rate": 0.25},
        "time_to_restore": {"count": 0, "open": 1, "median_s": None, "p90_s": None},
    }  # fmt: skip
    puppet.answers["GET", "/dora"] = Answer(body={"days": 7, "tiers": [tier]})
    ran = run("dora", "--days", "7")
    assert ran.out.splitlines()[1].split() == [
        "b",
        "3",
        "0.10",
        "1h",
        "2h",
        "1",
        "of",
        "4",
        "(25%)",
        "—",
        "1",
    ]


def test_one_is_told_as_one(puppet, run):
    release = {
        "version": "0.8.2",
        "sha": "a" * 40,
        "operation": 3,
        "bytes": 2048,
        "manifest": {"files": [{}]},
    }
    puppet.answers["GET", "/releases/0.8.2"] = Answer(body=release)
    assert "1 file, 2.0 KiB" in run("releases", "0.8.2").out


def test_a_release_is_told_with_where_it_runs_and_the_way_back(puppet, run):
    release = {
        "version": "0.8.2", "sha": "a" * 40, "operation": 3, "author": "Max", "subject": HOSTILE, "bytes": 2048,
        "green": True, "present": True, "manifest": {"files": [{}, {}]}, "rollback_safe": {"0.8.1": "yes"},
        "runs_on": [{"tier": "a", "nodes": ["a-1"]}], "marks": [{"tier": "b", "actor": "ann", "reason": "slow"}],
    }  # fmt: skip
    puppet.answers["GET", "/releases/0.8.2"] = Answer(body=release)
    out = run("releases", "0.8.2").out
    for line in (
        "2 files, 2.0 KiB",
        "current on tier a, runs on a-1",
        "marked bad on tier b by ann: slow",
        "back from it to 0.8.1: yes",
    ):
        assert line in out
    assert "\x1b" not in out


def test_a_reload_says_what_changed(puppet, run):
    told = {"added": ["c"], "changed": [], "removed": [], "needs_restart": ["listen"]}
    puppet.answers["POST", "/reload"] = Answer(body=told)
    ran = run("reload")
    assert (ran.out, ran.err) == ("added: c\n", "needs a restart of sandod: listen\n")


def test_notifiers_are_tried_and_one_that_failed_is_a_1(puppet, run):
    told = {
        "notifiers": [
            {"name": "chat", "ok": True, "detail": ""},
            {"name": "mail", "ok": False, "detail": "no route"},
        ]
    }
    puppet.answers["POST", "/notify/test"] = Answer(body=told)
    ran = run("notify", "test")
    assert (ran.code, ran.out) == (1, "chat: delivered\nmail: failed: no route\n")
