import json
import os
import stat
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from sando.model.errors import Cancelled, WorkError
from sando.model.release import Manifest
from sando.model.topology import BuildSpec
from sando.work import build as work
from sando.work.cancel import CancelToken
from sando.work.digest import digest_of, scan, verify
from tests.work.pushing import git
from tests.work.workshop import PUSHED, Bench


@pytest.fixture
def bench(tmp_path, keepers):
    return Bench.make(tmp_path, keepers)


def left_in_staging(bench):
    staging = bench.store / ".staging"
    return sorted(p.name for p in staging.iterdir()) if staging.exists() else []


def refused(bench, match):
    """The build fails and says so, nothing is staged, and it was the build's own fault."""
    with pytest.raises(WorkError, match=match) as caught:
        bench.build()
    assert not caught.value.errored
    assert left_in_staging(bench) == []
    assert not bench.store.exists() or [p.name for p in bench.store.iterdir()] == [".staging"]
    return caught.value


def test_a_build_becomes_a_release_with_its_manifest(bench):
    sha = bench.push(migrations__1="create table t();")
    release = bench.build()
    folder = bench.store / "0.8.2"
    assert (release.version, release.declared, release.sha, release.operation) == ("0.8.2", "0.8.2", sha, 42)
    assert (release.author, release.subject, release.branch, release.pushed_at) == (
        "Max",
        "work",
        "main",
        PUSHED,
    )
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "migrations", "server"]
    assert (folder / "server").stat().st_mode & 0o777 == 0o755
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    assert (manifest.version, manifest.sha, manifest.builder, manifest.run) == (
        "0.8.2",
        sha,
        "sandod",
        ("./server",),
    )
    assert manifest.files == scan(folder)
    assert release.digest == digest_of(manifest.files)
    assert release.bytes == manifest.bytes > 0
    assert release.built_at - PUSHED > timedelta(-365 * 20)
    assert verify(folder) is None
    assert left_in_staging(bench) == []
    assert set(json.loads((folder / "manifest.json").read_text())) == {
        "version", "sha", "branch", "author", "subject", "built_at", "builder", "files", "run",
    }  # fmt: skip


def test_a_failing_command_is_told_with_its_exit_status_and_last_lines(bench):
    bench.spec(command="seq 1 100; echo broken >&2; exit 101")
    bench.push()
    error = refused(bench, r"build: `seq 1 100; .*` ended with exit status 101")
    assert error.tail.splitlines()[-2:] == ["100", "broken"]
    assert len(error.tail.splitlines()) == 50


def test_a_command_that_hangs_is_named_and_told_with_its_own_output_alone(bench):
    bench.spec(command="echo mine; sleep 60", timeout_s=0.7)
    bench.push()
    error = refused(bench, "build: `echo mine; sleep 60` timed out after 1s; it and all that it started were")
    assert error.tail == "mine"


def test_the_build_sees_only_what_it_may(bench, monkeypatch):
    monkeypatch.setenv("SANDO_TOKEN", "secret")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    bench.spec(
        command="env > out.env; mkdir -p out; cp src out/server; chmod +x out/server",
        env={"A": "1", "SANDO_SHA": "x"},
    )
    sha = bench.push()
    bench.build()
    seen = dict(line.split("=", 1) for line in Path(bench.shop.checkout, "out.env").read_text().splitlines())
    assert (seen["A"], seen["CI"], seen["SANDO_SHA"]) == ("1", "true", sha)
    assert not [key for key in seen if key.startswith("GIT_") or "TOKEN" in key]


def test_a_runner_stands_before_the_command(bench):
    bench.spec(runner=("sh", "-c", 'echo ran > ran; exec "$@"', "runner"))
    bench.push()
    bench.build()
    assert Path(bench.shop.checkout, "ran").read_text() == "ran\n"


def test_a_command_that_is_not_there_is_named(bench):
    bench.spec(command=("cargo-of-nobody", "build"))
    bench.push()
    with pytest.raises(WorkError, match="command not found: cargo-of-nobody"):
        bench.build()


def test_a_build_folder_that_is_not_there_is_named_with_the_nearest(bench):
    bench.spec(dir="servr")
    bench.push(server__x="1")
    refused(bench, "there is no servr.*did you mean 'server'")


def test_a_build_folder_that_is_a_link_leading_out_is_refused(bench, tmp_path):
    bench.spec(dir="server")
    (bench.clone.folder / "server").symlink_to("/etc")
    bench.push()
    refused(bench, "leads out of the checkout")


def test_a_second_sha_gets_its_own_name_and_the_first_stays(bench):
    first = bench.push()
    bench.build()
    second = bench.push(src="#!/bin/sh\n")
    release = bench.build({"0.8.2": first})
    assert release.version == f"0.8.2+g{second[:7]}"
    assert release.declared == "0.8.2"
    assert verify(bench.store / "0.8.2") is None


def test_a_release_that_was_no_good_is_replaced_whole(bench):
    bench.push()
    bench.build()
    (bench.store / "0.8.2/rubbish").write_text("x")
    bench.build()
    assert sorted(p.name for p in (bench.store / "0.8.2").iterdir()) == ["manifest.json", "server"]


@pytest.mark.parametrize("version", ["../x", "0.8 2", "", ".8", "v" * 65, "1.0\u202e", "-rf", "a/b"])
def test_a_version_that_is_no_name_fails_the_build(bench, version):
    bench.push(VERSION=version + "\nsecond line")
    refused(bench, "of VERSION cannot name a release")


def test_a_final_name_that_is_too_long_fails_the_build(bench):
    long = "v" * 60
    bench.push(VERSION=long)
    with pytest.raises(WorkError, match="cannot name a release"):
        bench.build({long: "0" * 40})


def test_a_bad_version_in_a_manifest_fails_before_the_command_runs(bench):
    bench.spec(version_from="Cargo.toml", command="touch built")
    bench.push(**{"Cargo.toml": '[package]\nversion = "1 beta"\n'})
    refused(bench, "'1 beta' of Cargo.toml cannot name a release")
    assert not Path(bench.shop.checkout, "built").exists()


def test_a_version_file_that_the_build_writes_is_read_after_it(bench):
    bench.spec(
        version_from="out/V", command="mkdir -p out; echo 3.1 > out/V; cp src out/server; chmod +x out/server"
    )
    bench.push()
    assert bench.build().version == "3.1"


def test_git_describe_names_the_version(bench):
    bench.spec(version_from="git")
    sha = bench.push()
    assert bench.build().version == sha[:7]
    bench.clone.git("tag", "v2.0")
    bench.clone.push("v2.0")
    assert bench.build().version == "v2.0"


@pytest.mark.parametrize(
    ("command", "artifact", "words"),
    [
        ("true", "out/server", "there is no out"),
        ("mkdir out; cp src out/servr", "out/server", "there is no out/server .*did you mean 'servr'"),
        ("mkdir out; : > out/server", "out/server", "out/server is empty"),
        ("mkdir out; cp src out/server", "out/server", "out/server is not executable"),
        (
            "mkdir -p out/server",
            "out/server",
            r"\[build\] run is required: the artifact out/server is a folder",
        ),
        ("mkdir out; mkfifo out/server", "out/server", "neither a file nor a folder"),
        (
            "mkdir out; ln -s /etc/passwd out/server",
            "out/server",
            "leads out of the checkout, to /etc/passwd",
        ),
        ("mkdir out; ln -s nowhere out/server", "out/server", "is a link that leads nowhere"),
        ("mkdir out; ln -s server out/server", "out/server", "cannot use out/server|nowhere"),
        ("ln -s /etc out", "out/passwd", "leads out of the checkout"),
        ("true", "../../../../../../../../../../etc/passwd", "leads out of the checkout"),
        ("true", "/etc/passwd", "leads out of the checkout"),
    ],
)
def test_an_artifact_that_cannot_be_staged_fails_the_build_and_says_why(bench, command, artifact, words):
    bench.spec(command=command, artifact=artifact)
    bench.push()
    refused(bench, words)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ln -s /etc/passwd out/d/x", "out/d/x .*leads out of the checkout"),
        ("ln -s ../../.. out/d/x", "leads out of the checkout"),
        ("ln -s .. out/d/x", "d/x/d is a link|link to a folder that it lies in"),
        ("mkfifo out/d/x", "d/x is neither a file nor a folder"),
        (r"touch out/d/$(printf 'a\377')", "is not UTF-8"),
    ],
)
def test_a_folder_with_something_foreign_in_it_fails_the_build(bench, command, words):
    bench.spec(command=f"mkdir -p out/d; {command}", artifact="out/d", run=("./d/x",))
    bench.push()
    refused(bench, words)


def test_links_that_stay_inside_are_copied_as_what_they_point_at(bench):
    bench.spec(
        command="mkdir -p out/d/lib; cp src out/real; ln -s real out/server; echo 1 > out/d/lib/x; ln -s lib out/d/lib64; chmod +x out/real",
        artifact="out/server",
        extra=("out/d",),
    )  # fmt: skip
    bench.push()
    bench.build()
    folder = bench.store / "0.8.2"
    files = sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()
    )
    assert files == ["manifest.json", "out/d/lib/x", "out/d/lib64/x", "server"]
    assert verify(folder) is None


def test_an_extra_that_leads_out_is_refused_and_one_that_is_missing_is_not(bench):
    bench.spec(extra=("migrations", "conf"))
    (bench.clone.folder / "conf").symlink_to("/etc/hostname")
    bench.push()
    refused(bench, r"conf \(\[build\] extra\) leads out")


def test_the_whole_checkout_can_be_the_artifact(bench):
    bench.spec(command="true", artifact=".", run=("sh", "src"), extra=())
    bench.push(lib__a="1")
    bench.build()
    files = sorted(
        str(p.relative_to(bench.store / "0.8.2")) for p in (bench.store / "0.8.2").rglob("*") if p.is_file()
    )
    assert files == [".gitignore", "VERSION", "lib/a", "manifest.json", "src"]


def test_a_manifest_of_their_own_is_not_overwritten(bench):
    bench.spec(command="true", artifact=".", run=("sh", "src"), extra=())
    bench.push(**{"manifest.json": "{}"})
    refused(bench, r"manifest.json is the name of sando's own file")


def test_setuid_is_stripped_and_other_modes_are_kept(bench):
    bench.spec(command="mkdir -p out/d; cp src out/d/a; cp src out/d/b; chmod 6755 out/d/a; chmod 440 out/d/b",
               artifact="out/d", run=("./d/a",))  # fmt: skip
    bench.push()
    bench.build()
    folder = bench.store / "0.8.2/d"
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "b").stat().st_mode) == 0o440
    assert verify(bench.store / "0.8.2") is None


def test_a_file_that_something_still_writes_to_fails_the_build(bench, monkeypatch):
    bench.push()
    pour = work.stage._Copy._pour

    def pour_and_write(copy, source, goal, mode):
        sha256 = pour(copy, source, goal, mode)
        with Path(bench.shop.checkout, "out/server").open("a") as file:
            file.write("more")
        return sha256

    monkeypatch.setattr(work.stage._Copy, "_pour", pour_and_write)
    refused(bench, "server changed while it was copied")


def test_a_link_put_in_place_between_look_and_open_is_not_followed(bench, monkeypatch):
    bench.push()
    opened = work.stage.inside.open_file

    def swap(root, real):
        if real.name == "server":
            real.unlink()
            real.symlink_to("/etc/passwd")
        return opened(root, real)

    monkeypatch.setattr("sando.work.stage.inside.open_file", swap)
    with pytest.raises(WorkError, match="cannot stage"):
        bench.build()
    assert left_in_staging(bench) == []
    assert not (bench.store / "0.8.2").exists()


def test_a_cancelled_build_leaves_nothing(bench):
    bench.spec(command="echo begun > begun; exec sleep 60")
    bench.push()
    told = CancelToken()
    begun = Path(bench.shop.checkout, "begun")

    def when_begun():
        for _ in range(1000):
            if begun.exists() or told.wait(0.01):
                break
        told.cancel()

    watcher = threading.Thread(target=when_begun)
    watcher.start()
    with pytest.raises(Cancelled):
        bench.build(cancel=told)
    watcher.join()
    assert left_in_staging(bench) == []
    assert not bench.store.exists()


def test_a_cancel_while_staging_leaves_nothing(bench, monkeypatch):
    bench.push()
    told = CancelToken()
    seal = work.stage.seal
    monkeypatch.setattr(work.stage, "seal", lambda *args: (seal(*args), told.cancel()))
    with pytest.raises(Cancelled):
        bench.build(cancel=told)
    assert left_in_staging(bench) == []
    assert not (bench.store / "0.8.2").exists()


def test_the_checkout_keeps_what_is_ignored_between_builds(bench):
    bench.spec(
        command="mkdir -p out; echo x >> out/count; cp src out/server; chmod +x out/server; touch junk"
    )
    bench.push()
    bench.build()
    bench.push(other="1")
    bench.build()
    assert Path(bench.shop.checkout, "out/count").read_text() == "x\nx\n"


def test_a_hostile_subject_is_stored_raw_and_logged_visibly(bench):
    bench.clone.git("add", "-A")
    bench.clone.git("commit", "-q", "-m", "\x1b[2Jevil\u202e")
    bench.clone.push("main")
    release = bench.build()
    assert release.subject == "\x1b[2Jevil\u202e"
    assert b"\x1b" not in bench.log.path.read_bytes()


def test_discard_removes_a_release_and_never_what_a_link_points_at(bench, tmp_path):
    bench.push()
    bench.build()
    (bench.store / "0.8.2/link").symlink_to(bench.clone.folder)
    (bench.store / "0.8.2/server").parent.chmod(0o500)
    work.discard(bench.shop, "0.8.2")
    assert not (bench.store / "0.8.2").exists()
    (bench.store / "9.9").symlink_to(bench.clone.folder)
    work.discard(bench.shop, "9.9")
    work.discard(bench.shop, "9.9")
    assert (bench.clone.folder / "src").exists()
    assert not (bench.store / "9.9").is_symlink()
    for evil in ("..", ".staging", "../clone", "/etc", ""):
        with pytest.raises(WorkError, match="is no version"):
            work.discard(bench.shop, evil)


def test_sweep_removes_what_a_dead_daemon_left_half_staged(bench):
    assert work.sweep(bench.shop) == ()
    half = bench.store / ".staging/7/deep"
    half.mkdir(parents=True)
    half.chmod(0)
    (bench.store / ".staging/8").symlink_to(bench.clone.folder)
    assert work.sweep(bench.shop) == ("7", "8")
    assert left_in_staging(bench) == []
    assert (bench.clone.folder / "src").exists()


def test_a_full_store_is_an_error_and_not_a_failure(bench):
    bench.push()
    bench.store.write_text("no folder")
    with pytest.raises(WorkError, match=r"cannot stage 0\.8\.2") as caught:
        bench.build()
    assert caught.value.errored


def test_a_real_crate_is_built_tested_and_built_again_only_where_it_changed(tmp_path, keepers):
    bench = Bench.make(tmp_path, keepers, BuildSpec())
    manifest = '[package]\nname = "server"\nversion = "0.8.2"\nedition = "2021"\n'
    main = 'fn main() { println!("one"); }\n#[test]\nfn it_works() { assert_eq!(1 + 1, 2); }\n'
    bench.clone.put("server/Cargo.toml", manifest)
    bench.clone.put("server/src/main.rs", main)
    bench.clone.put(".gitignore", "target/\n")
    first = bench.push()
    release = bench.build()
    assert (release.version, release.sha) == ("0.8.2", first)
    assert os.access(bench.store / "0.8.2/server", os.X_OK)
    assert bench.gate(release, "cargo_test").passed
    bench.push(README="not code")
    bench.build({"0.8.2": first})
    assert "Compiling" not in bench.log.path.read_text()
    assert "Finished" in bench.log.path.read_text()
    assert git("status", "--porcelain", cwd=Path(bench.shop.checkout)).split() in (
        [],
        ["??", "server/Cargo.lock"],
    )
