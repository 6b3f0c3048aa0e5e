import functools
import http.server
import os
import subprocess
import threading
import time

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.work import commands, git_child, loose
from sando.work import git as work
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import clean_env
from tests.work.nodes import AT_ONCE_S
from tests.work.pushing import Clone, git


@pytest.fixture
def bare(tmp_path):
    path = tmp_path / "repos" / "bare.git"
    work.ensure_bare(str(path), "main")
    return path


@pytest.fixture
def clone(tmp_path, bare):
    return Clone(tmp_path / "clone", bare)


@pytest.fixture
def check_out(tmp_path, bare):
    folder = tmp_path / "work" / "checkout"

    def go(sha, cancel=None):
        log = OpLog(tmp_path / "log")
        work.checkout(str(bare), "main", sha, str(folder), cancel or CancelToken(), log, clean_env())
        return folder

    return go


def test_a_missing_repository_is_created_with_its_branch_and_push_options(tmp_path):
    path = tmp_path / "deep" / "new.git"
    work.ensure_bare(str(path), "trunk")
    assert (path / "HEAD").read_text() == "ref: refs/heads/trunk\n"
    assert git("config", "receive.advertisePushOptions", cwd=path).strip() == "true"
    assert not (path / "hooks").exists() or not list((path / "hooks").iterdir())


def test_an_empty_folder_becomes_a_repository_and_a_second_time_changes_nothing(tmp_path):
    path = tmp_path / "new.git"
    path.mkdir()
    work.ensure_bare(str(path), "main")
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    work.ensure_bare(str(path), "main")
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


def test_another_branch_moves_head_only_while_the_old_one_is_unborn(bare, clone):
    work.ensure_bare(str(bare), "trunk")
    assert (bare / "HEAD").read_text() == "ref: refs/heads/trunk\n"
    clone.commit()
    clone.push("main:trunk")
    work.ensure_bare(str(bare), "other")
    assert (bare / "HEAD").read_text() == "ref: refs/heads/trunk\n"


@pytest.mark.parametrize("what", ["folder", "file", "work tree"])
def test_what_is_no_bare_repository_is_named_and_kept(tmp_path, what):
    path = tmp_path / "thing"
    if what == "file":
        path.write_text("x")
    else:
        path.mkdir()
        (path / "precious").write_text("x")
    if what == "work tree":
        git("init", "-q", cwd=path)
    with pytest.raises(WorkError, match="thing is no bare git repository: move it away") as caught:
        work.ensure_bare(str(path), "main")
    assert caught.value.errored
    assert path.is_file() or (path / "precious").exists()


def test_a_branch_that_does_not_exist_has_no_tip(bare):
    assert work.tip(str(bare), "main") is None


def test_the_tip_is_the_newest_commit_with_author_and_subject(bare, clone):
    clone.commit("first")
    sha = clone.commit("second\nline of the subject\n\nbody")
    clone.push()
    assert work.tip(str(bare), "main") == work.Commit(sha, "Max", "second line of the subject")
    assert work.tip(str(bare), "mai") is None


def test_a_branch_above_others_is_not_mistaken_for_them(bare, clone):
    clone.commit()
    clone.push("main:refs/heads/release/1")
    assert work.tip(str(bare), "release") is None


def test_the_tip_costs_no_git_process_after_a_push_and_one_when_it_is_packed(bare, clone, monkeypatch):
    clone.commit()
    clone.push()
    assert loose.newest(str(bare), "main") == tuple(
        getattr(work.tip(str(bare), "main"), n) for n in ("sha", "author", "subject")
    )
    git("pack-refs", "--all", cwd=bare)
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    work.tip(str(bare), "main")
    assert len(started) == 1


@pytest.mark.parametrize(
    "branch",
    [
        "--upload-pack=touch",
        "-x",
        "$(id)",
        "`id`",
        "a;b",
        "|id",
        "HEAD",
        "r\u202eevil",
        "c\u009b1",
        b"raw\xff",
        "a--",
    ],
)
def test_an_odd_branch_name_is_read_like_any_other(bare, clone, branch):
    sha = clone.commit()
    ref = b"refs/heads/" + (branch if isinstance(branch, bytes) else branch.encode())
    clone.push(b"main:" + ref)
    assert work.tip(str(bare), os.fsdecode(branch)).sha == sha
    assert not (bare / "touch").exists()


def test_a_hostile_author_and_subject_come_as_text(bare, clone):
    clone.write(a="1")
    clone.git("add", "-A")
    clone.git(
        "commit", "-q", "-m", b"\x1b[2Jevil \xff --output=x %00", env={"GIT_AUTHOR_NAME": "A\x1b]52;x\x07 %s"}
    )
    clone.push()
    commit = work.tip(str(bare), "main")
    assert commit.subject == "\x1b[2Jevil \xff --output=x %00"
    assert commit.author == "A\x1b]52;x\x07 %s"
    assert work.resolve(str(bare), commit.sha) == commit


def test_a_short_sha_is_resolved_and_an_unknown_one_is_none(bare, clone):
    sha = clone.commit("x")
    clone.push()
    expected = work.Commit(sha, "Max", "x")
    assert work.resolve(str(bare), sha) == expected
    assert work.resolve(str(bare), sha[:7]) == expected
    for unknown in (
        "0" * 40,
        "dead" * 10,
        "deadbee",
        "main",
        "HEAD",
        "--output=x",
        "",
        "abc",
        sha[:7].upper() + "G",
    ):
        assert work.resolve(str(bare), unknown) is None


def test_a_branch_that_looks_like_a_sha_is_no_sha(bare, clone):
    first = clone.commit("first")
    second = clone.commit("second")
    clone.push("main", f"main:refs/heads/{first[:7]}", f"main:refs/heads/{first}", "main:refs/heads/feedbeef")
    assert work.resolve(str(bare), first[:7]).sha == first
    assert work.resolve(str(bare), first).sha == first
    assert work.resolve(str(bare), "feedbeef") is None
    assert work.resolve(str(bare), second).sha == second


def test_a_tag_is_peeled_and_a_tree_or_blob_is_none(bare, clone):
    clone.write(a="1")
    sha = clone.commit()
    clone.git("tag", "-a", "v1", "-m", "v1")
    clone.push("main", "v1")
    tag, tree, blob = clone.git("rev-parse", "v1", "main^{tree}", "main:a").split()
    assert work.resolve(str(bare), tag).sha == sha
    assert work.resolve(str(bare), tag[:8]).sha == sha
    assert work.resolve(str(bare), tree) is None
    assert work.resolve(str(bare), blob) is None


def test_a_replaced_commit_is_still_itself(bare, clone):
    first = clone.commit("honest")
    second = clone.commit("evil")
    clone.git("replace", first, second)
    clone.push("main", f"refs/replace/{first}")
    assert work.resolve(str(bare), first).subject == "honest"


def test_a_damaged_repository_is_an_error_that_says_so(bare, clone):
    clone.commit()
    clone.push()
    for path in (bare / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(WorkError, match="cannot read main of") as caught:
        work.tip(str(bare), "main")
    assert caught.value.errored


def test_a_missing_repository_is_an_error_and_no_unknown_sha(tmp_path):
    with pytest.raises(WorkError):
        work.resolve(str(tmp_path / "gone.git"), "a" * 40)


def test_the_log_between_two_commits_is_newest_first_and_limited(bare, clone):
    shas = [clone.commit(f"c{n}") for n in range(5)]
    clone.push()
    assert [c.subject for c in work.log_between(str(bare), shas[1], shas[4])] == ["c4", "c3", "c2"]
    assert [c.sha for c in work.log_between(str(bare), shas[0], shas[4], limit=2)] == shas[:2:-1]
    assert len(work.log_between(str(bare), "", shas[2])) == 3
    assert work.log_between(str(bare), shas[4], shas[1]) == ()
    assert work.log_between(str(bare), "0" * 39 + "1", shas[1]) is None
    assert work.log_between(str(bare), "--output=x", shas[1]) is None


def test_a_checkout_is_exact_and_spares_what_is_ignored(bare, clone, check_out):
    clone.write(**{"a": "1", "dir__b": "1", "gone": "1", ".gitignore": "target/\n"})
    clone.put("run.sh", "#!/bin/sh\n")
    (clone.folder / "run.sh").chmod(0o755)
    (clone.folder / "link").symlink_to("a")
    one = clone.commit()
    (clone.folder / "gone").unlink()
    clone.write(dir__b="2", dir__c="2")
    two = clone.commit()
    clone.push()
    folder = check_out(one)
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "link").readlink().name == "a"
    (folder / "target").mkdir()
    (folder / "target/cache").write_text("kept")
    (folder / "a").write_text("x")  # same size, changed by a build
    (folder / "link").unlink()
    (folder / "junk").mkdir()
    (folder / "junk/file").write_text("x")
    git("init", "-q", "nested", cwd=folder)
    (folder / "dir/c").mkdir()  # in the way of a file to come
    (folder / "dir/c/x").write_text("x")
    check_out(two)
    assert sorted(p.name for p in folder.iterdir()) == [
        ".git",
        ".gitignore",
        "a",
        "dir",
        "link",
        "run.sh",
        "target",
    ]
    assert [(folder / name).read_text() for name in ("a", "dir/b", "dir/c", "target/cache")] == [
        "1",
        "2",
        "2",
        "kept",
    ]
    assert git("status", "--porcelain", cwd=folder) == ""
    assert work.checked_out(str(bare), str(folder)) == two


def test_a_file_that_did_not_change_keeps_its_time(bare, clone, check_out):
    clone.write(same="1", other="1")
    one = clone.commit()
    clone.write(other="2")
    two = clone.commit()
    clone.push()
    folder = check_out(one)
    long_ago = 1_600_000_000
    before = {}
    for name in ("same", "other"):
        before[name] = (folder / name).stat().st_mtime_ns
    check_out(two)
    check_out(two)
    assert (folder / "same").stat().st_mtime_ns == before["same"]
    assert (folder / "other").stat().st_mtime_ns > before["other"] > long_ago


def test_a_build_sees_head_tags_and_log_in_the_checkout(bare, clone, check_out):
    one = clone.commit("one")
    clone.git("tag", "v1.2")
    two = clone.commit("two")
    clone.push("main", "v1.2")
    folder = check_out(two)
    assert git("rev-parse", "HEAD", cwd=folder).strip() == two
    assert git("describe", "--tags", cwd=folder).strip() == f"v1.2-1-g{two[:7]}"
    assert work.describe(str(bare), str(folder), one) == "v1.2"
    assert git("worktree", "list", cwd=bare).count("\n") == 2


def test_gc_keeps_the_commit_that_is_checked_out(bare, clone, check_out):
    clone.commit("base")
    lost = clone.commit("lost")
    clone.push()
    folder = check_out(lost)
    clone.git("reset", "-q", "--hard", "HEAD~1")
    clone.push("+main")
    git("reflog", "expire", "--expire=now", "--all", cwd=bare)
    git("gc", "-q", "--prune=now", cwd=bare)
    assert work.resolve(str(bare), lost).sha == lost
    check_out(lost)
    assert git("log", "-1", "--format=%s", cwd=folder).strip() == "lost"


@pytest.mark.parametrize("lock", ["index.lock", "HEAD.lock"])
def test_a_lock_of_a_killed_git_is_removed(bare, clone, check_out, lock):
    clone.write(a="1")
    sha = clone.commit()
    clone.push()
    check_out(sha)
    [home] = (bare / "worktrees").iterdir()
    (home / lock).write_text("")
    check_out(sha)
    assert not (home / lock).exists()


def test_a_spoiled_index_is_made_anew(bare, clone, check_out):
    clone.write(a="1")
    sha = clone.commit()
    clone.push()
    folder = check_out(sha)
    [home] = (bare / "worktrees").iterdir()
    (home / "index").write_bytes(b"DIRC garbage")
    (folder / "a").write_text("x")
    check_out(sha)
    assert (folder / "a").read_text() == "1"


def test_folders_that_a_build_closed_are_no_obstacle(bare, clone, check_out):
    clone.write(dir__a="1")
    one = clone.commit()
    clone.write(dir__a="2")
    two = clone.commit()
    clone.push()
    folder = check_out(one)
    (folder / "junk/deep").mkdir(parents=True)
    (folder / "junk/deep/file").write_text("x")
    (folder / "junk/deep").chmod(0)
    (folder / "junk").chmod(0)
    (folder / "dir").chmod(0)
    check_out(two)
    assert (folder / "dir/a").read_text() == "2"
    assert not (folder / "junk").exists()


def test_a_checkout_that_became_a_link_elsewhere_does_not_touch_elsewhere(bare, clone, check_out, tmp_path):
    clone.write(a="1")
    sha = clone.commit()
    clone.push()
    folder = check_out(sha)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    folder.rename(tmp_path / "old")
    folder.symlink_to(elsewhere)
    check_out(sha)
    assert [p.name for p in elsewhere.iterdir()] == ["precious"]
    assert (folder / "a").read_text() == "1"
    assert not folder.is_symlink()


def test_a_git_folder_that_a_build_put_there_is_never_read(bare, clone, check_out, tmp_path):
    clone.write(**{"a": "1", ".gitattributes": "* filter=evil\n"})
    sha = clone.commit()
    clone.push()
    folder = check_out(sha)
    (folder / ".git").unlink()
    git("init", "-q", cwd=folder)
    git("config", "core.fsmonitor", f"touch {tmp_path}/ran", cwd=folder)
    git("config", "filter.evil.smudge", f"touch {tmp_path}/ran", cwd=folder)
    (folder / "a").unlink()
    check_out(sha)
    assert not (tmp_path / "ran").exists()
    assert (folder / ".git").is_file()
    assert (folder / "a").read_text() == "1"


def test_configuration_of_the_daemons_user_changes_nothing(bare, clone, check_out, tmp_path, monkeypatch):
    (tmp_path / "hooks").mkdir()
    hook = tmp_path / "hooks/post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f"[core]\n hooksPath = {tmp_path}/hooks\n fsmonitor = touch {tmp_path}/ran\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))
    git("config", "core.hooksPath", f"{tmp_path}/hooks", cwd=bare)
    clone.write(a="1")
    sha = clone.commit()
    clone.push()
    assert (check_out(sha) / "a").read_text() == "1"
    assert not (tmp_path / "ran").exists()


def test_a_cancelled_checkout_stops_and_the_next_one_is_whole(bare, clone, check_out):
    clone.write(a="1")
    sha = clone.commit()
    clone.push()
    told = CancelToken()
    told.cancel()
    with pytest.raises(Cancelled):
        check_out(sha, told)
    folder = check_out(sha)
    assert work.checked_out(str(bare), str(folder)) == sha


def test_a_checkout_that_did_not_end_is_not_taken_for_one(bare, clone, check_out):
    clone.write(a="1")
    sha = clone.commit()
    clone.push()
    folder = check_out(sha)
    with pytest.raises(WorkError, match="cannot check out fffffff") as caught:
        check_out("f" * 40)
    assert caught.value.errored
    assert work.checked_out(str(bare), str(folder)) is None


@pytest.fixture
def library(tmp_path):
    """A repository served over HTTP: git refuses submodules from a path."""
    served = tmp_path / "served"
    git("init", "-q", "--bare", "-b", "main", "--template=", str(served / "lib.git"), cwd=tmp_path)
    lib = Clone(tmp_path / "lib", served / "lib.git")
    lib.write(code="1")
    lib.commit()
    lib.push()
    git("update-server-info", cwd=served / "lib.git")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/lib.git"
    server.shutdown()
    thread.join()
    server.server_close()


def test_submodules_are_checked_out_cleaned_and_leave_when_dropped(bare, clone, check_out, library):
    clone.write(a="1")
    before = clone.commit()
    clone.git("submodule", "add", "-q", library, "lib")
    with_lib = clone.commit()
    clone.push()
    folder = check_out(with_lib)
    assert (folder / "lib/code").read_text() == "1"
    (folder / "lib/code").write_text("x")
    (folder / "lib/junk").write_text("x")
    check_out(with_lib)
    assert (folder / "lib/code").read_text() == "1"
    assert not (folder / "lib/junk").exists()
    check_out(before)
    assert not (folder / "lib").exists()
    check_out(with_lib)
    assert (folder / "lib/code").read_text() == "1"


@pytest.mark.parametrize("kind", ["path", "ext"])
def test_a_submodule_by_path_or_program_is_refused(bare, clone, check_out, library, tmp_path, kind):
    clone.git("submodule", "add", "-q", library, "lib")
    url = str(tmp_path / "served/lib.git") if kind == "path" else f"ext::sh -c touch% {tmp_path}/ran"
    clone.git("config", "-f", ".gitmodules", "submodule.lib.url", url)
    sha = clone.commit()
    clone.push()
    with pytest.raises(WorkError, match="cannot check out the submodules"):
        check_out(sha)
    assert not (tmp_path / "ran").exists()


def hang():
    return [*commands.SAFE, "-c", "alias.hang=!sleep 60", "hang"]


def test_a_git_that_hangs_is_stopped_with_what_it_started(monkeypatch):
    monkeypatch.setattr(git_child, "QUICK_S", 0.1)
    with pytest.raises(WorkError, match="was stopped") as caught:
        git_child.git(hang())
    assert caught.value.errored


def test_a_cancel_ends_a_git_that_works():
    told = CancelToken()
    timer = threading.Timer(0.1, told.cancel)
    timer.start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        git_child.git(hang(), cancel=told)
    assert time.monotonic() - start < AT_ONCE_S
    timer.join()


def test_a_tidied_checkout_needs_no_cleaning_and_keeps_what_git_ignores(bare, clone, check_out):
    clone.put(".gitignore", "target/\n")
    sha = clone.commit()
    clone.git("push", "-q", "origin", "main")
    folder = check_out(sha)
    (folder / "target").mkdir()
    (folder / "target" / "kept").write_text("x")
    (folder / "left").write_text("x")
    work.tidy(str(bare), str(folder), CancelToken(), clean_env())
    assert not (folder / "left").exists()
    assert (folder / "target" / "kept").exists()
    assert work.checked_out(str(bare), str(folder)) is None
    assert check_out(sha) == folder
    assert work.checked_out(str(bare), str(folder)) == sha


@pytest.mark.parametrize(
    "subject", ["one line", "two\nlines", "a subject\n\nand a body\n", " Zoë — ünï ", ""]
)
def test_the_tip_is_the_same_read_from_loose_files_and_asked_of_git(bare, clone, subject):
    clone.put("file", subject)
    clone.git("add", "-A")
    clone.git("commit", "-q", "--allow-empty-message", "-m", subject)
    clone.git("push", "-q", "origin", "main")
    loose = work.tip(str(bare), "main")
    git("pack-refs", "--all", cwd=bare)
    git("repack", "-adq", cwd=bare)
    assert not (bare / "refs" / "heads" / "main").exists()
    assert work.tip(str(bare), "main") == loose


def test_a_ref_or_an_object_that_is_no_commit_is_left_to_git(bare, clone):
    sha = clone.commit()
    clone.git("push", "-q", "origin", "main")
    (bare / "refs" / "heads" / "main").write_text("ref: refs/heads/other\n")
    assert loose.newest(str(bare), "main") is None
    (bare / "refs" / "heads" / "main").write_text(sha + "\n")
    assert loose.newest(str(bare), "main") is not None
    (bare / "objects" / sha[:2] / sha[2:]).chmod(0o600)
    (bare / "objects" / sha[:2] / sha[2:]).write_bytes(b"spoiled")
    assert loose.newest(str(bare), "main") is None
