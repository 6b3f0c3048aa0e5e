"""What the workbench itself does: logs and releases that may go, and releases that are not what was built."""

import os
from pathlib import Path

import pytest

from sando.model.topology import DaemonSpec
from sando.work.cancel import CancelToken
from sando.work.workbench import Workbench


@pytest.fixture
def bench(tmp_path):
    spec = DaemonSpec("127.0.0.1", 1, "x", "x", str(tmp_path / "work"), str(tmp_path / "releases"))
    (tmp_path / "work" / "logs").mkdir(parents=True)
    return Workbench(spec, None, None, None)


def write_log(bench, number, age):
    path = Path(bench.log_path(number))
    path.write_text("x")
    os.utime(path, (1000 - age, 1000 - age))


def test_logs_go_by_age_and_count_but_never_one_that_is_written_to(bench, tmp_path):
    for number in range(1, 7):
        write_log(bench, number, age=100 if number < 3 else 1)
    (tmp_path / "work" / "logs" / "note.txt").write_text("mine")
    assert bench.forget_logs(frozenset({1}), before=950, most=3, cancel=CancelToken()) == 2
    left = sorted(p.name for p in (tmp_path / "work" / "logs").iterdir())
    assert left == ["1.log", "4.log", "5.log", "6.log", "note.txt"]


def test_a_release_that_is_gone_is_told_apart_from_one_that_was_changed(bench, tmp_path):
    assert bench.verify("1.0", CancelToken())[0] == "release_missing"
    (tmp_path / "releases" / "1.0").mkdir(parents=True)
    assert bench.verify("1.0", CancelToken())[0] == "release_corrupt"
