"""The places where sandod can be ended: each is one line of code and one line of the table, and does nothing unasked."""

import ast
import errno
import re
from pathlib import Path

import pytest

from sando import failpoints
from sando.failpoints import COMMITS, COMMITTED, POINTS, STEPS, armed, reached

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {p: p.read_text() for top in ("sando", "actors", "api") for p in (ROOT / top).rglob("*.py")}


def called():
    """The first argument of every `reached(…)` in the sources, as it is written."""
    for text in SOURCES.values():
        if "from sando.failpoints import" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"reached", "reached_each"}:
                yield ast.unparse(node.args[0]).strip("'\"")


def test_every_place_in_the_code_is_in_the_table_and_every_line_of_the_table_is_a_place():
    plain = {name for name in called() if name in POINTS}
    steps = {f"node.{step}{end}" for step in STEPS for end in ("", ".done")}
    commits = {f"commit.{kind}" for kind in COMMITS} | {f"committed.{kind}" for kind in COMMITTED}
    assert plain | steps | commits == set(POINTS)
    assert {n for n in called() if n not in POINTS} == {
        "f'node.{task.step}", "f'node.{task.step}.done", "commit", "committed",
    }  # fmt: skip
    assert len(list(called())) == len(plain) + 4


def test_without_the_variable_nothing_is_armed(monkeypatch):
    assert armed("") == {}
    for name in POINTS:
        reached(name)


def test_an_act_comes_at_the_time_that_was_asked_for_and_once(monkeypatch):
    monkeypatch.setattr(failpoints, "_armed", armed("build.ran=full@3,gate.ran=error"))
    reached("build.ran")
    reached("build.ran")
    with pytest.raises(OSError) as full:
        reached("build.ran")
    reached("build.ran")
    with pytest.raises(OSError) as broken:
        reached("gate.ran")
    assert (full.value.errno, broken.value.errno) == (errno.ENOSPC, errno.EIO)


@pytest.mark.parametrize("text", ["nowhere=kill", "build.ran", "build.ran=explode", "build.ran=kill@x"])
def test_what_cannot_be_meant_is_refused_by_name(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        armed(text)
