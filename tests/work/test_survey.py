"""What a plan looks up on real repositories and release folders: commits both ways, migrations both ways, and no harm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sando.model.errors import Cancelled
from sando.model.survey import MOST_COMMITS, Change, Changes, Journey
from sando.model.topology import DaemonSpec, RepoSpec
from sando.work.cancel import CancelToken
from sando.work.git import ensure_bare
from sando.work.survey import survey
from sando.work.workbench import Workbench
from tests.work.pushing import Clone

GONE = "0" * 39 + "1"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "mnw.git"
    ensure_bare(str(path), "main")
    return path


@pytest.fixture
def commit(tmp_path: Path, bare: Path) -> Callable[[str], str]:
    """Commits with this subject, and pushes; answers the sha."""
    clone = Clone(tmp_path / "clone", bare)
    count = iter(range(1000))

    def make(subject: str) -> str:
        clone.put("server/text", str(next(count)))
        sha = clone.commit(subject)
        clone.push("main")
        return sha

    return make


def release(store: Path, version: str, *paths: str) -> None:
    """A manifest that lists these files; the files themselves are not looked at."""
    folder = store / version
    folder.mkdir(parents=True)
    files = [{"path": p, "size": 1, "mode": 0o644, "sha256": "0" * 64} for p in paths]
    told = {
        "version": version, "sha": "a" * 40, "branch": "main", "author": "", "subject": "",
        "built_at": "2026-11-23T12:00:00Z", "builder": "mm", "files": files,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(told))


def looked(bare: Path, store: Path, journey: Journey):
    return survey(str(bare), str(store), journey, None, CancelToken())


def test_what_goes_out_and_what_is_taken_back_are_the_commits_that_the_other_has_not(
    bare, commit, tmp_path
) -> None:
    old, _, new = commit("one"), commit("two"), commit("three")
    there = looked(bare, tmp_path, Journey("2", new, "1", old))
    assert there.out
    assert [c.subject for c in there.out.commits] == ["three", "two"]
    assert (there.back, there.out.more) == (Changes(), False)
    back = looked(bare, tmp_path, Journey("1", old, "2", new))
    assert back.back == there.out
    assert back.out == Changes()


def test_where_nothing_runs_yet_all_of_the_history_goes_out_and_nothing_is_taken_back(
    bare, commit, tmp_path
) -> None:
    commit("one")
    first = looked(bare, tmp_path, Journey("2", commit("two")))
    assert first.out
    assert [c.subject for c in first.out.commits] == ["two", "one"]
    assert first.back == Changes()


def test_the_same_commit_is_no_way_at_all(bare, commit, tmp_path) -> None:
    sha = commit("one")
    same = looked(bare, tmp_path, Journey("1.2", sha, "1", sha))
    assert (same.out, same.back) == (Changes(), Changes())


def test_a_long_way_is_cut_and_told_so(bare, commit, tmp_path) -> None:
    first = commit("first")
    for number in range(MOST_COMMITS):
        last = commit(f"c{number}")
    exact = looked(bare, tmp_path, Journey("2", last, "1", first))
    assert exact.out
    assert (len(exact.out.commits), exact.out.more) == (MOST_COMMITS, False)
    longer = looked(bare, tmp_path, Journey("2", commit("one more"), "1", first))
    assert longer.out
    assert (len(longer.out.commits), longer.out.more) == (MOST_COMMITS, True)
    assert longer.out.commits[0].subject == "one more"


@pytest.mark.parametrize("journey", [("2", GONE, "1", None), ("2", None, "1", GONE)])
def test_a_commit_that_git_does_not_know_any_more_is_said_to_be_unknown(
    bare, commit, tmp_path, journey
) -> None:
    new, new_sha, old, old_sha = journey
    sha = commit("one")
    found = looked(bare, tmp_path, Journey(new, new_sha or sha, old, old_sha or sha))
    assert (found.out, found.back) == (None, None)


def test_a_repository_that_is_gone_spoils_no_plan(tmp_path) -> None:
    found = looked(tmp_path / "nothing.git", tmp_path, Journey("2", GONE, "1", "a" * 40))
    assert (found.out, found.back, found.migrations) == (None, None, None)


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("red \x1b[31malert\x1b[0m", "red \\x1b[31malert\\x1b[0m"),
        ("turn \u202ethis around", "turn \\u202ethis around"),
        ("a\ttab and  spaces", "a tab and spaces"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_a_subject_is_one_line_that_does_no_harm(bare, commit, tmp_path, subject, shown) -> None:
    sha = commit(subject)
    out = looked(bare, tmp_path, Journey("1", sha)).out
    assert out == Changes((Change(sha, out.commits[0].author, shown),))


def test_the_migrations_of_one_release_that_the_other_has_not_are_named_in_their_order(
    bare, tmp_path
) -> None:
    store = tmp_path / "releases"
    release(store, "1", "server", "migrations/1_init.sql", "migrations/9_gone.sql")
    release(
        store, "2", "server", "migrations/1_init.sql", "migrations/10_c.sql", "migrations/2_b.up.sql",
        "migrations/2_b.down.sql", "migrations/README.md", "other/3.sql", "migrations/deep/4_d.sql",
    )  # fmt: skip
    found = looked(bare, store, Journey("2", GONE, "1", GONE))
    assert found.migrations == ("deep/4_d.sql", "2_b.up.sql", "10_c.sql")
    assert found.migrations_back == ("9_gone.sql",)
    first = looked(bare, store, Journey("1", GONE))
    assert first.migrations == ("1_init.sql", "9_gone.sql")
    other = looked(bare, store, Journey("2", GONE, "1", GONE, folder="other"))
    assert other.migrations == ("3.sql",)


@pytest.mark.parametrize("spoil", ["gone", "damaged"])
def test_a_manifest_that_cannot_be_read_leaves_the_migrations_unknown(bare, tmp_path, spoil) -> None:
    store = tmp_path / "releases"
    release(store, "1", "migrations/1.sql")
    release(store, "2", "migrations/2.sql")
    if spoil == "gone":
        (store / "1" / "manifest.json").unlink()
    else:
        (store / "1" / "manifest.json").write_text('{"version": "1"')
    found = looked(bare, store, Journey("2", GONE, "1", GONE))
    assert (found.migrations, found.migrations_back) == (None, None)


def test_a_look_that_was_cancelled_does_not_go_on(bare, tmp_path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        survey(str(bare), str(tmp_path), Journey("1", GONE), None, cancel)


def test_the_workbench_says_too_whether_the_release_is_what_was_built(bare, tmp_path) -> None:
    store = tmp_path / "releases"
    spec = DaemonSpec("127.0.0.1", 1, "x", "x", str(tmp_path / "work"), str(store))
    bench, repo = Workbench(spec, None, None, None), RepoSpec(str(bare))
    missing = bench.survey(repo, Journey("1", GONE), CancelToken())
    assert missing.problem
    assert missing.problem[0] == "release_missing"
    release(store, "1", "server")
    corrupt = bench.survey(repo, Journey("1", GONE), CancelToken())
    assert corrupt.problem
    assert corrupt.problem[0] == "release_corrupt"
