import queue

import pytest

from sando.work import git as work
from sando.work.refwatch import RefWatch
from tests.work.pushing import Clone


@pytest.fixture
def bare(tmp_path):
    path = tmp_path / "bare.git"
    work.ensure_bare(str(path), "main")
    return path


@pytest.mark.parametrize("branch", ["main", "release/1"])
def test_a_push_to_the_branch_is_noticed_and_one_to_another_is_not(tmp_path, bare, branch):
    seen = queue.Queue()
    watch = RefWatch(str(bare), branch, lambda: seen.put(work.tip(str(bare), branch)))
    clone = Clone(tmp_path / "clone", bare)
    clone.commit()
    clone.git("push", "-q", "origin", "main:refs/heads/elsewhere")
    first = clone.commit()
    clone.git("push", "-q", "origin", f"main:refs/heads/{branch}")
    assert seen.get(timeout=10).sha == first
    second = clone.commit()
    clone.git("push", "-q", "origin", f"main:refs/heads/{branch}")
    assert seen.get(timeout=10).sha == second
    watch.close()
    assert seen.empty()


def test_a_repository_that_is_not_there_is_told_and_harms_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    watch = RefWatch(str(tmp_path / "file"), "main", lambda: None)
    watch.close()
    assert "told by the hook alone" in caplog.text
