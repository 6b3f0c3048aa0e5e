"""Fetches of the backup on this machine: what arrives, what is refused, and that the old one stays until all is well."""

import gzip
import hashlib
import os
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sando.model.backup import Arriving
from sando.model.errors import Cancelled, WorkError
from sando.model.topology import BackupSpec
from sando.work.backup import arrival, fetch, fingerprint
from sando.work.backup import place as places
from sando.work.backup.arrival import Limits
from tests.work import fetching
from tests.work.fetching import DUMP, END, HEAD, OLD, TOC, content, plain
from tests.work.sshds import small_disk
from tests.work.wild import until

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

place = fetching.place

# -- a file ------------------------------------------------------------------------------------------------


def test_a_file_arrives_whole_private_and_hashed(place):
    began = time.time()
    told = place.fetch()
    assert place.target.read_bytes() == DUMP
    info = place.target.stat()
    assert (stat.S_IMODE(info.st_mode), info.st_mtime >= began - 1) == (0o600, True)
    sha256 = hashlib.sha256(DUMP).hexdigest()
    assert (told.bytes, told.sha256, told.kind, told.warnings) == (len(DUMP), sha256, "plain", ())
    assert (told.source, told.local_path) == (f"file://{place.source}", str(place.target))
    assert told.seconds > 0
    assert sha256 in place.said()


def test_a_link_to_the_latest_dump_is_followed_and_a_folder_for_it_is_made(place):
    link = place.source.with_name("latest.sql")
    link.symlink_to("dump.sql")
    place.target = place.folder / "new" / "folder" / "backup.sql"
    assert place.fetch(f"file://{link}").bytes == len(DUMP)
    assert place.target.read_bytes() == DUMP


def test_a_target_that_is_a_link_stays_one_and_the_dump_lies_where_it_leads(place):
    disk = place.folder / "large disk"
    disk.mkdir()
    place.target.unlink()
    place.target.symlink_to(disk / "b.sql")
    place.fetch()
    assert place.target.is_symlink()
    assert (disk / "b.sql").read_bytes() == DUMP
    assert [p.name for p in disk.iterdir()] == ["b.sql"]


def test_a_name_with_spaces_quotes_and_a_dollar_is_only_a_name(place):
    odd = place.source.with_name("-d '$(id)' \".sql")
    place.source.rename(odd)
    place.target = place.target.with_name("b '$(id)'.sql")
    assert place.fetch(f"file://{odd}").bytes == len(DUMP)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "neither a file nor a folder"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "cannot be read: No such file"),
        (lambda path: path.write_bytes(b""), "is empty: look at what writes it"),
        (lambda path: path.write_bytes(DUMP[:-200]), "half a dump"),
        (lambda path: path.write_bytes(b"\n <!DOCTYPE html><html>502"), "HTML page"),
        (lambda path: (path.unlink(), path.mkdir()), "without toc.dat"),
    ],
)
def test_a_source_that_is_no_dump_is_told_and_the_old_one_stays(place, change, told):
    change(place.source)
    error = place.refused()
    assert told in str(error)
    assert str(error).startswith(f"backup: file://{place.source}: ")
    assert place.said().endswith(f"sando: {error}\n")
    assert not error.errored


def test_a_source_that_may_not_be_read_is_told(place, monkeypatch):
    real = os.access  # root may read everything: only the answer is changed
    monkeypatch.setattr(os, "access", lambda path, *a, **k: "dump" not in str(path) and real(path, *a, **k))
    assert "sandod's user may not read it" in str(place.refused())


@pytest.mark.parametrize(
    "then",
    [
        "echo more >>{source}",
        "cp {source} {source}.new; mv {source}.new {source}",
        "echo all new >{source}",
    ],
    ids=["grows", "replaced", "written anew"],
)
def test_a_source_that_changes_while_it_is_read_is_not_taken(place, then):
    place.stand_in("cat", f'/bin/cat "$@"\n{then.format(source=place.source)}')
    error = place.refused()
    assert "it changed while it was copied: something still writes to it" in str(error)
    assert not error.errored


def test_a_source_that_only_seems_untouched_but_arrives_short_is_not_taken(place):
    place.stand_in("cat", '/bin/head -c 5000 "$2"')
    assert "half a dump" in str(place.refused())


def test_what_sando_does_not_know_takes_no_known_dumps_place(place):
    """Most likely it is what a script said that failed."""
    place.source.write_bytes(b"sh: 1: pg_dump: not found\n")
    error = place.refused()
    assert "begins as no dump of pg_dump" in str(error)
    assert "the last one was a dump, and stays: look at what writes the source" in str(error)
    place.target.write_bytes(gzip.compress(OLD))
    with pytest.raises(WorkError, match="the last one was a dump"):
        place.fetch()
    place.target.unlink()
    place.target.mkdir()
    (place.target / "toc.dat").write_bytes(TOC)
    with pytest.raises(WorkError, match="the last one was a dump"):
        place.fetch()
    assert content(place.target) == {"toc.dat": TOC}


def test_what_sando_does_not_know_is_taken_with_a_warning(place):
    place.source.write_bytes(b"select 1;\n")
    place.target.unlink()
    place.fetch()
    told = place.fetch()
    assert place.target.read_bytes() == b"select 1;\n"
    assert told.kind == "unknown"
    assert "whether it is whole was not checked" in told.warnings[0]
    assert f"warning: {told.warnings[0]}" in place.said()


def test_source_and_target_that_are_one_file_are_refused(place):
    assert "are one" in str(place.refused(f"file://{place.target}"))


def test_a_target_that_is_no_file_is_never_replaced(place):
    place.target = place.folder / "fifo"
    os.mkfifo(place.target)
    with pytest.raises(WorkError, match=r"fifo .* is neither a file nor a folder"):
        place.fetch()
    assert stat.S_ISFIFO(place.target.stat().st_mode)


@pytest.mark.parametrize("name", ["notes.txt", "sub/toc.dat"])
def test_a_folder_that_is_no_dump_is_never_replaced(place, name):
    place.target = place.folder / "home"
    (place.target / name).parent.mkdir(parents=True)
    (place.target / name).write_text("mine")
    with pytest.raises(WorkError, match=r"home .* is a folder and no dump of pg_dump -Fd") as caught:
        place.fetch()
    assert caught.value.errored
    assert (place.target / name).read_text() == "mine"


@pytest.mark.parametrize("path", ["backup.sql", "-x", "/tmp/../b", "/tmp/a\nb"])
def test_a_target_that_is_no_plain_path_is_refused(place, path):
    spec = BackupSpec(source=f"file://{place.source}", local_path=path)
    with pytest.raises(WorkError, match="plain absolute path"):
        fetch(spec, place.log, place.keepers, place.cancel)


def test_a_folder_that_cannot_be_had_is_told_as_could_not_run(place):
    spec = BackupSpec(source=f"file://{place.source}", local_path=f"{place.source}/in-a-file/b.sql")
    with pytest.raises(WorkError, match=r"cannot write .*: Not a directory") as caught:
        fetch(spec, place.log, place.keepers, place.cancel)
    assert caught.value.errored


def test_a_target_that_leads_nowhere_is_told_as_could_not_run(place):
    place.target.unlink()
    place.target.symlink_to(place.target.name)
    with pytest.raises(WorkError, match=r"cannot write .*: Too many levels of symbolic links") as caught:
        place.fetch()
    assert caught.value.errored


def test_leftovers_of_killed_fetches_are_swept_and_nothing_else(place):
    (left := place.target.with_name(".backup.sql.fetch-0123456789abcdef")).mkdir()
    (left / "data").write_bytes(b"half")
    others = [".backup.sql.fetched", ".other.sql.fetch-0123456789abcdef", "backup.sql.1"]
    for name in others:
        place.target.with_name(name).write_bytes(b"x")
    place.fetch()
    assert sorted(p.name for p in place.target.parent.iterdir()) == sorted([*others, "backup.sql"])
    place.target.with_name(others[1]).unlink()


def test_less_than_half_of_the_last_one_is_taken_with_a_warning(place):
    for last, warned in ((2 * len(DUMP) + 1, 1), (2 * len(DUMP), 0)):
        place.target.write_bytes(b"x" * last)
        warnings = place.fetch().warnings
        assert place.target.read_bytes() == DUMP
        assert len(warnings) == warned
    place.target.write_bytes(b"x" * 5_000_000)
    (told,) = place.fetch().warnings
    assert told == "it has 300 kB, less than half of the last one (5.0 MB): look whether it is whole"


# -- a folder ----------------------------------------------------------------------------------------------


def test_a_folder_takes_the_place_of_a_file_and_a_file_that_of_a_folder(place):
    files = place.folder_of_dump(a_dat=b"one", b_dat=b"two" * 100_000)
    told = place.fetch()
    assert content(place.target) == files
    assert {stat.S_IMODE(p.stat().st_mode) for p in place.target.iterdir()} == {0o600}
    assert stat.S_IMODE(place.target.stat().st_mode) == 0o700
    assert (told.kind, told.bytes) == ("directory", sum(map(len, files.values())))
    place.source = place.source.with_name("other.sql")
    place.source.write_bytes(DUMP)
    assert place.fetch().kind == "plain"
    assert place.target.read_bytes() == DUMP


def test_the_sha256_of_a_folder_is_that_of_the_list_that_sha256sum_prints(place):
    files = place.folder_of_dump(b_dat=b"two", a_dat=b"one")
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    assert place.fetch().sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert fingerprint(place.target, lambda: None)[1] == hashlib.sha256(lines.encode()).hexdigest()


def test_a_folder_takes_the_place_of_another_whole(place):
    place.folder_of_dump(a_dat=b"one", old_dat=b"old")
    place.fetch()
    (place.source / "old.dat").unlink()
    (place.source / "a.dat").write_bytes(b"changed")
    place.fetch()
    assert content(place.target) == {"toc.dat": TOC, "a.dat": b"changed"}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "sub").mkdir(), "sub in the folder, which is no regular file"),
        (
            lambda folder: (folder / "link").symlink_to("/etc/passwd"),
            "link in the folder, which is no regular",
        ),
        (lambda folder: os.mkfifo(folder / "fifo"), "fifo in the folder, which is no regular file"),
        (lambda folder: (folder / "toc.dat").unlink(), "without toc.dat: pg_dump -Fd has not finished it"),
        (lambda folder: (folder / "toc.dat").write_bytes(TOC[:30]), "half a dump"),
    ],
)
def test_a_folder_that_is_no_whole_dump_is_told_and_the_old_one_stays(place, spoil, told):
    place.folder_of_dump(a_dat=b"one")
    spoil(place.source)
    error = place.refused()
    assert told in str(error)
    assert not error.errored


def test_a_folder_that_changes_while_it_is_read_is_not_taken(place):
    place.folder_of_dump(a_dat=b"one")
    place.stand_in("tar", f'/bin/tar "$@"; echo more >>{place.source}/a.dat')
    assert "it changed while it was copied" in str(place.refused())


def test_where_folders_cannot_be_exchanged_they_are_renamed_one_after_the_other(place, monkeypatch):
    monkeypatch.setattr(places, "_renameat2", None)
    place.folder_of_dump(a_dat=b"one")
    place.fetch()
    (place.source / "a.dat").write_bytes(b"changed")
    place.fetch()
    assert content(place.target)["a.dat"] == b"changed"


def test_a_crash_between_the_two_renames_is_put_right_by_the_next_fetch_even_if_it_fails(place):
    aside = place.target.with_name(".backup.sql.fetch-0123456789abcdef")
    aside.mkdir()
    place.target.rename(aside / "former")
    place.source.write_bytes(b"")
    place.refused()


def test_whoever_opens_a_folder_finds_the_old_one_or_the_new_one_and_never_none(place):
    place.folder_of_dump(v0_dat=b"0")
    place.fetch()
    seen, over = set(), threading.Event()

    def read():
        while not over.is_set():
            seen.add(frozenset(os.listdir(place.target)))  # noqa: PTH208

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for number in range(1, 6):
            (place.source / f"v{number - 1}.dat").rename(place.source / f"v{number}.dat")
            place.fetch()
        over.set()
        reader.result(20)
    # The former one is emptied after it has lost its name: whoever is still in it may find less, never something else.
    assert all(len(names - {"toc.dat"}) <= 1 for names in seen), seen


# -- room, limits, ends ------------------------------------------------------------------------------------


def test_a_disk_that_would_be_full_is_told_before_anything_is_copied(place):
    with place.source.open("wb") as file:
        file.truncate(9_000_000)
    place.stand_in("cat", "exec sleep 300")
    with small_disk(place.target.parent, 4):
        place.target.write_bytes(OLD)
        error = place.refused()
    assert "it has 9.0 MB, and 4.2 MB are free in" in str(error)
    assert "make room" in str(error)
    assert error.errored
    assert place.gone()
    place.target.write_bytes(OLD)


def test_a_disk_that_is_full_at_the_target_leaves_the_old_one_and_nothing_beside_it(place):
    """More comes than was announced: the last thing that stands in the way is the disk itself."""
    place.stand_in("cat", "exec /usr/bin/head -c 9000000 /dev/zero")
    with small_disk(place.target.parent, 4):
        place.target.write_bytes(OLD)
        error = place.refused(limits=Limits(room=0, grace_s=0.5))
    assert "No space left on device" in str(error)
    assert error.errored
    place.target.write_bytes(OLD)


def test_the_room_that_others_need_is_left_free(place):
    place.stand_in("cat", "exec /usr/bin/head -c 9000000 /dev/zero")
    with small_disk(place.target.parent, 8):
        place.target.write_bytes(OLD)
        error = place.refused(limits=Limits(room=2**21, grace_s=0.5))
    assert "less than 2 MiB are left" in str(error)
    place.target.write_bytes(OLD)


def test_a_source_that_hangs_is_ended_after_the_idle_time(place):
    place.stand_in("cat", "echo begun; trap '' TERM; sleep 300 & wait; sleep 300")
    error = place.refused(limits=Limits(idle_s=0.4, grace_s=0.2, room=0))
    assert "nothing arrived for" in str(error)
    assert "bytes of 300 kB" in str(error)
    assert error.errored
    assert place.gone()


def test_a_slow_source_that_goes_on_is_not_ended_before_the_whole_time_is_over(place):
    place.stand_in("cat", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.15; done")
    place.target.unlink()
    assert place.fetch(limits=Limits(idle_s=0.8, room=0)).kind == "unknown"
    assert place.target.read_bytes() == b"1\n2\n3\n4\n5\n6\n7\n8\n"
    place.target.write_bytes(OLD)
    place.stand_in("cat", "while :; do echo on; sleep 0.05; done")
    error = place.refused(limits=Limits(total_s=1.0, idle_s=0.9, grace_s=0.2, room=0))
    assert "timed out after 1s" in str(error)
    assert place.gone()


def test_a_bomb_in_a_small_file_is_ended_when_its_time_is_over(place):
    place.source.write_bytes(zstd.compress(bytes(50_000_000)) * 4000)
    error = place.refused(limits=Limits(total_s=2.0, room=0))
    assert "timed out while it was looked through" in str(error)
    assert error.errored


def test_a_cancelled_fetch_leaves_the_old_file_and_no_process(place):
    place.stand_in("cat", "echo begun\nsleep 300 & wait")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(place.fetch)
        until(place.begun)
        place.cancel.cancel()
        with pytest.raises(Cancelled):
            future.result(20)
    place.untouched()
    assert place.gone()


def test_a_cancel_between_arrival_and_rename_is_heard(place, monkeypatch):
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (real(fd), place.cancel.cancel()))
    with pytest.raises(Cancelled):
        place.fetch()
    place.untouched()


def test_a_fetch_that_was_cancelled_before_it_began_touches_nothing(place):
    place.cancel.cancel()
    with pytest.raises(Cancelled):
        place.fetch()
    place.untouched()
    assert not place.log.path.exists()


def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(place):
    seen, over = set(), threading.Event()

    def read():
        while not over.is_set():
            seen.add(hashlib.sha256(place.target.read_bytes()).digest())

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        place.fetch()
        over.set()
        reader.result(20)
    assert seen <= {hashlib.sha256(x).digest() for x in (OLD, DUMP)}


# -- who is told -------------------------------------------------------------------------------------------


def test_how_far_it_is_is_told_while_it_runs_and_of_how_much(place, monkeypatch):
    monkeypatch.setattr(arrival, "_TELL_S", 0.0)
    monkeypatch.setattr(arrival, "_SAY_S", 0.0)
    go = place.folder / "go"
    place.stand_in(
        "cat", f'/usr/bin/head -c 100000 "$2"; until [ -e {go} ]; do sleep 0.02; done; tail -c +100001 "$2"'
    )
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(place.fetch)
        until(lambda: Arriving("fetch", 100_000, len(DUMP)) in place.told)
        go.touch()
        future.result(20)
    assert place.told[-1] == Arriving("check", len(DUMP), len(DUMP))
    assert "backup: fetch: 100 kB of 300 kB" in place.said()
    sizes = [arriving.bytes for arriving in place.told]
    assert sizes == sorted(sizes)


def test_a_short_fetch_tells_nobody(place):
    place.fetch()
    assert place.told == []


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 bytes"), (9_999, "9999 bytes"), (12_345, "12 kB"), (1_234_567, "1.2 MB"), (34 * 10**10, "340 GB"), (5 * 10**16, "50000 TB")],
)  # fmt: skip
def test_a_size_is_told_for_people(size, told):
    assert arrival.told(size) == told


def test_what_is_fetched_twice_is_the_same(place):
    first, second = place.fetch(), place.fetch()
    assert (first.sha256, first.bytes) == (second.sha256, second.bytes)
    assert Path(place.target).read_bytes() == DUMP


def test_the_ends_of_the_samples_are_those_of_a_dump():
    assert plain(5).startswith(HEAD)
    assert plain(5).endswith(END)
