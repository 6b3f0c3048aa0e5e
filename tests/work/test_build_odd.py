"""Builds whose files are odd or too many: names that no file system takes twice, and a store without inodes."""

import os
from pathlib import Path

import pytest

from sando.model.errors import WorkError
from sando.work.tree import remove_tree
from tests.work.sshds import small_disk
from tests.work.workshop import Bench


@pytest.fixture
def bench(tmp_path, keepers):
    return Bench.make(tmp_path, keepers)


def refused(bench):
    with pytest.raises(WorkError) as caught:
        bench.build()
    staging = bench.store / ".staging"
    assert not staging.exists() or list(staging.iterdir()) == []
    return caught.value


def test_a_store_without_inodes_is_told_nothing_is_left_and_the_next_build_is_whole(bench):
    if os.geteuid():  # what only root can mount where everybody sees it
        return
    with small_disk(bench.store, 50, "mode=0755,nr_inodes=60"):
        bench.spec(
            command="mkdir -p out/many && touch $(seq -f out/many/%g 100)", artifact="out/many", run=("./1",)
        )
        bench.push(VERSION="1.0\n")
        error = refused(bench)
        assert error.errored
        assert "cannot stage 1.0: [Errno 28] No space left on device" in str(error)
        bench.spec(command="mkdir -p out/few && touch out/few/1", artifact="out/few", run=("./1",))
        bench.push(VERSION="1.1\n")
        assert bench.build().version == "1.1"


FILL = "cat /dev/zero >out.fill"
RED = "! cat /dev/zero >out.fill.$SHARD_INDEX; exit 7"  # with one file, a later shard would empty it
MANY = "for n in $(seq 1000); do touch fill.$n || exit 7; done"


@pytest.fixture
def narrow(bench):
    """A bench whose workdir is a file system of its own, with a release that was built there."""
    with small_disk(Path(bench.shop.workdir), 40, "mode=0755,nr_inodes=400"):
        bench.push()
        yield bench, bench.build()


def out_of_room(caught, bench, free):
    error = caught.value
    assert error.errored, "it could not run, which is no word against the commit"
    assert error.detail.endswith(
        f"ended with exit status 7 (no room left in {bench.shop.checkout}: {free} free)"
    )


@pytest.mark.parametrize(("fill", "free"), [(RED, "0 MiB"), (MANY, "0 inodes")])
def test_a_build_that_fails_on_a_full_disk_could_not_run_and_says_so(narrow, fill, free):
    if os.geteuid():
        return
    bench, _ = narrow
    bench.spec(command=fill)
    bench.push(VERSION="1.0\n")
    with pytest.raises(WorkError) as caught:
        bench.build()
    out_of_room(caught, bench, free)


@pytest.mark.parametrize(("fill", "free"), [(RED, "0 MiB"), (MANY, "0 inodes")])
@pytest.mark.parametrize("shards", [1, 2])
def test_a_gate_that_fails_on_a_full_disk_could_not_run_and_says_so(narrow, fill, free, shards):
    if os.geteuid():
        return
    bench, release = narrow
    with pytest.raises(WorkError) as caught:
        bench.gate(release, "command", command=fill, shards=shards)
    out_of_room(caught, bench, free)


def test_what_boots_on_a_full_disk_and_ends_could_not_run(bench):
    if os.geteuid():
        return
    with small_disk(bench.store, 40):
        bench.push(src=f"#!/bin/sh\n{RED}\n")
        release = bench.build()
        with pytest.raises(WorkError) as caught:
            bench.gate(release, "boot_smoke")
    assert caught.value.errored
    assert f"no room left in {bench.store / release.version}: 0 MiB free" in caught.value.detail


def test_a_build_that_is_green_on_a_full_disk_is_green_and_one_with_room_is_red(narrow):
    if os.geteuid():
        return
    bench, release = narrow
    assert bench.gate(release, "command", command=f"! {FILL}").passed
    verdict = bench.gate(release, "command", command="rm out.fill; exit 7")
    assert (verdict.passed, verdict.message) == (False, "`rm out.fill; exit 7` ended with exit status 7")


def test_a_path_that_is_longer_in_the_store_than_the_kernel_takes_is_told_and_nothing_is_left(bench):
    deep = "/".join(["d" * 200] * 20)  # under 4096 where it is made, by steps; over it in the store
    make = f"mkdir -p out/tree; cd out/tree; for d in $(echo {deep} | tr / ' '); do mkdir $d; cd $d; done; touch file"
    bench.spec(command=make, artifact="out/tree", run=("./x",))
    bench.push(VERSION="1.0\n")
    error = refused(bench)
    assert "File name too long" in str(error)
    bench.spec(command="mkdir -p out/few && touch out/few/1", artifact="out/few", run=("./1",))
    bench.push(VERSION="1.1\n")
    assert bench.build().version == "1.1"
    remove_tree(bench.shop.checkout)
    assert not Path(bench.shop.checkout).exists(), "what is too deep for a path can be cleared away"


def test_a_name_with_a_line_feed_is_a_file_like_any_other_in_the_store(bench):
    bench.spec(command="mkdir -p out/few && printf x > 'out/few/a\nb'", artifact="out/few", run=("./1",))
    bench.push(VERSION="1.0\n")
    release = bench.build()
    assert (bench.store / release.version / "few" / "a\nb").read_text() == "x"


@pytest.mark.parametrize("gone", ["checkout", "."], ids=["its checkout", "the whole work folder"])
def test_a_build_that_removes_the_folder_it_works_in_fails_and_the_next_one_is_whole(bench, gone):
    bench.spec(command=f"rm -rf {Path(bench.shop.workdir, gone).resolve()}")
    bench.push(VERSION="1.0\n")
    assert f"the checkout {bench.shop.checkout} is gone" in str(refused(bench))
    bench.spec(command="mkdir -p out && cp src out/server && chmod +x out/server")
    bench.push(VERSION="1.1\n")
    assert bench.build().version == "1.1"
