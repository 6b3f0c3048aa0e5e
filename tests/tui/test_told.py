"""Each type of event reads as a sentence, and none that is not known here is lost."""

import pytest

from sando.client.shapes import Event
from sando.model.events import EVENT_TYPES
from tests.tui.samples import NOON, SHA, event
from tui.model.stream import MOST, Stream
from tui.model.told import line


@pytest.mark.parametrize(
    ("told", "text", "style"),
    [
        (event(1, "RebuildRequested", version=None, sha=SHA, actor="max", data={"subject": "fix", "reason": "again"}),
         "#44 1a2b3c4 by max: fix (again)", "plain"),
        (event(1, "BuildStart", version=None, sha=SHA, actor="max", data={}), "#44 1a2b3c4 by max", "plain"),
        (event(1, "BuildOk", data={"seconds": 61.0}), "#44 0.8.3 in 1m 1s", "ok"),
        (event(1, "BuildFailed", version=None, sha=SHA, data={"seconds": 2.0, "error": "cargo: exit 101"}),
         "#44 1a2b3c4 in 2.0s: cargo: exit 101", "bad"),
        (event(1, "BuildAborted", data={"superseded_by": 45}), "#44 0.8.3 superseded by #45", "warn"),
        (event(1, "GateStart"), "#44 0.8.3 boot_smoke", "plain"),
        (event(1), "#44 0.8.3 boot_smoke passed in 3.2s", "ok"),
        (event(1, data={"gate": "g", "outcome": "failed", "message": "no"}), "#44 0.8.3 g failed: no", "bad"),
        (event(1, data={"gate": "g", "outcome": "aborted"}), "#44 0.8.3 g aborted", "warn"),
        (event(1, "DeployStart", actor="max", data={"from": "0.8.2", "to": "0.8.3", "reason": ""}),
         "#44 0.8.2 → 0.8.3 by max", "plain"),
        (event(1, "DeployFailed", data={"from": "1", "to": "2", "status": "aborted", "rolled_back": True, "error": "x"}),
         "#44 1 → 2 aborted, rolled back: x", "bad"),
        (event(1, "NodeDeployed", node="a-1", data={}), "#44 a-1 on 0.8.3", "dim"),
        (event(1, "NodeReverted", node="a-1", data={"by": "itself"}), "#44 a-1 on 0.8.3: itself", "warn"),
        (event(1, "DriftDetected", operation=None, node="a-1", data={"recorded": "1", "observed": None, "detail": ""}),
         "a-1 is on nothing, recorded is 1", "warn"),
        (event(1, "PromoteComplete", data={"to": "0.8.3"}), "#44 0.8.3", "ok"),
        (event(1, "Rollback", actor="max", data={"from": "2", "to": "1", "reason": "leak"}), "#44 2 → 1 by max (leak)", "warn"),
        (event(1, "ManualConfirm", operation=None, actor="max", data={"gate": "manual_confirm", "reason": "ok"}),
         "0.8.3 manual_confirm by max (ok)", "ok"),
        (event(1, "HotfixUsed", actor="max", data={"skipped": "burn_in: 1s of 1d", "reason": "r"}),
         "#44 0.8.3 by max skipped burn_in: 1s of 1d (r)", "warn"),
        (event(1, "Locked", operation=None, version=None, actor="max", data={"reason": "audit", "expires": "2026"}),
         "by max until 2026 (audit)", "warn"),
        (event(1, "BackupFetched", tier=None, version=None, actor="max", data={"bytes": 13_000_000}),
         "#44 12.4 MiB by max", "ok"),
        (event(1, "BackupFailed", version=None, data={"error": "rsync: exit 23"}), "#44 rsync: exit 23", "bad"),
        (event(1, "Pruned", operation=None, version=None, data={"versions": ["1", "2"], "where": "store"}),
         "1, 2 from store", "dim"),
        (Event("DaemonStarted", 1, data={"version": "1.0.0"}), "sandod 1.0.0", "plain"),
        (Event("SomethingNew", 1, tier="a", node="a-1", actor="max", data={"why": "later", "none": None}),
         "a-1 by max why=later", "plain"),
    ],
)  # fmt: skip
def test_an_event_is_a_line(told, text, style):
    made = line(told, 7)
    assert (made.text, made.style, made.n) == (text, style, 7)


@pytest.mark.parametrize("kind", EVENT_TYPES)
@pytest.mark.parametrize(
    "data", [{}, {"seconds": "x", "versions": 3, "bytes": "many", "reason": ["r"], "error": {"a": 1}}]
)
def test_every_type_survives_whatever_its_data_is(kind, data):
    made = line(Event(kind, 1, NOON, data=data), 1)
    assert made.kind == kind
    assert "\n" not in made.text


def test_what_an_event_says_cannot_do_anything_to_the_terminal():
    made = line(event(1, "Locked", actor="\x1b[2J", data={"reason": "a\x07\n\u202eb"}), 1)
    assert made.text.isprintable()


def test_only_so_many_lines_are_kept_and_the_one_that_is_read_stays_in_its_place():
    stream = Stream().heard(event(n) for n in range(1, MOST + 1)).scrolled("", 10, -100)
    first = stream.shown("", 10)[0][0]
    later = stream.heard(event(n) for n in range(MOST + 1, MOST + 501))
    assert len(later.lines) == MOST
    assert later.shown("", 10)[0][0] == first
    assert later.shown("", 10)[1] == 100 + 500
    gone = later.heard(event(n) for n in range(MOST + 501, 3 * MOST))
    assert gone.shown("", 10)[0][0] == gone.lines[0]


def test_scrolling_stops_at_both_ends():
    stream = Stream().heard(event(n) for n in range(1, 31))
    top = stream.scrolled("", 10, -1000)
    assert top.shown("", 10)[0][0].n == 1
    assert top.scrolled("", 10, 1000).following
    assert Stream().scrolled("", 10, -5).following
