"""Fetches from a real rsyncd on loopback: files, folders, lines that break, and sources that change."""

import os

import pytest

from sando.work.backup.arrival import Limits
from tests.work import fetching
from tests.work.fetching import DUMP, END, HEAD, OLD, Rsyncd, content, on_the_way, plain
from tests.work.sshds import small_disk
from tests.work.wire import Wire

place, rsyncd = fetching.place, fetching.rsyncd
SLOW = 2_000_000  # bytes a second
LARGE = plain(3_000_000)


# -- what arrives ------------------------------------------------------------------------------------------


def test_a_file_arrives_whole(place, rsyncd):
    told = place.fetch(rsyncd.url())
    assert place.target.read_bytes() == DUMP
    assert place.target.stat().st_mode & 0o777 == 0o600
    assert (told.kind, told.bytes, told.source) == ("plain", len(DUMP), rsyncd.url())


def test_a_folder_arrives_whole(place, rsyncd):
    files = place.folder_of_dump(a_dat=b"one", b_dat=bytes(2_000_000))
    for url in (rsyncd.url(), f"{rsyncd.url()}/"):
        assert place.fetch(url).kind == "directory"
        assert content(place.target) == files
    assert {path.stat().st_mode & 0o777 for path in place.target.iterdir()} == {0o600}


def test_what_a_link_names_arrives_and_not_the_link(place, rsyncd):
    (place.source.parent / "latest.sql").symlink_to("dump.sql")
    place.fetch(rsyncd.url("latest.sql"))
    assert place.target.read_bytes() == DUMP
    assert not place.target.is_symlink()


def test_a_name_with_what_rsync_and_a_shell_could_read_is_only_a_name(place, rsyncd):
    place.source.rename(place.source.with_name("a~b=c,d+e@f:g.sql"))
    place.fetch(rsyncd.url("a~b=c,d+e@f:g.sql"))
    assert place.target.read_bytes() == DUMP


def test_a_server_that_forces_its_own_compression_and_limits_is_no_trouble(place):
    server = Rsyncd(place, "max connections = 1", "dont compress = *", "read only = yes", "list = no")
    try:
        place.fetch(server.url())
    finally:
        server.end()
    assert place.target.read_bytes() == DUMP


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "neither a file nor a folder of files"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(LARGE[:-500]), "half a dump"),
        (lambda path: path.write_bytes(b"<html>"), "HTML page"),
        (lambda path: (path.unlink(), path.mkdir()), "without toc.dat"),
        (lambda path: (path.unlink(), path.mkdir(), (path / "sub").mkdir()), "neither a file nor a folder of files"),
        (lambda path: (path.unlink(), path.mkdir(), os.mkfifo(path / "fifo")), "neither a file nor a folder of files"),
    ],
)  # fmt: skip
def test_a_source_that_is_no_dump_is_told_and_the_old_one_stays(place, rsyncd, change, told):
    change(place.source)
    error = place.refused(rsyncd.url())
    assert told in str(error)
    assert not error.errored
    assert f"{rsyncd.url()}: " in str(error)


def test_a_module_that_is_not_there_is_told(place, rsyncd):
    error = place.refused(f"rsync://127.0.0.1:{rsyncd.port}/other/dump.sql")
    assert "Unknown module" in str(error)
    assert not error.errored


def test_a_server_that_is_not_there_could_not_be_asked(place, rsyncd):
    url = rsyncd.url()
    rsyncd.end()
    error = place.refused(url)
    assert "Connection refused" in str(error)
    assert error.errored


def test_rsync_that_is_not_installed_is_told_with_its_package(place, monkeypatch):
    monkeypatch.setenv("PATH", str(place.programs))
    error = place.refused("rsync://h/m/p")
    assert "rsync is not installed here: install it (package rsync)" in str(error)
    assert error.errored


@pytest.mark.parametrize(("status", "errored"), [(5, False), (10, True), (12, True), (23, False), (30, True)])
def test_rsync_that_ends_badly_says_why_and_whether_it_was_the_line(place, status, errored):
    why = "echo 'rsync: [sender] link_stat failed: No such file' >&2; echo 'rsync error: code' >&2"
    place.stand_in("rsync", f"{why}; exit {status}")
    error = place.refused("rsync://prod-1/m/dump.sql")
    assert f"rsync ended with exit status {status}: rsync: [sender] link_stat failed" in str(error)
    assert error.errored is errored
    assert "link_stat" in error.tail
    assert "link_stat" in place.said()


# -- a line that breaks, a source that changes, a disk that is full ----------------------------------------


@pytest.fixture
def wire(rsyncd):
    with Wire("127.0.0.1", rsyncd.port) as made:
        yield made
        made.heal()


@pytest.fixture
def slowly(place, rsyncd, wire):
    """The arguments of a fetch that takes a second and a half."""
    place.source.write_bytes(LARGE)
    wire.slow(SLOW)
    return {"url": rsyncd.url(port=wire.port), "limits": Limits(idle_s=1.0, grace_s=0.5, room=0)}


def test_a_line_that_is_cut_in_the_middle_leaves_the_old_one(place, wire, slowly):
    with on_the_way(place, **slowly) as ended:
        wire.cut()
        error = ended()
    assert error.errored
    assert "rsync ended with exit status" in str(error)


def test_a_line_that_falls_silent_in_the_middle_is_ended(place, wire, slowly):
    with on_the_way(place, **slowly) as ended:
        wire.black_hole()
        error = ended()
    assert error.errored
    assert "nothing arrived for 1s, after" in str(error)
    assert "of 3.0 MB" in str(error)


def test_a_server_that_answers_nothing_is_not_waited_for(place, wire, slowly):
    wire.black_hole()
    error = place.refused(**slowly)
    assert error.errored
    assert "nothing arrived for 1s" in str(error)


def test_a_folder_that_is_cut_in_the_middle_leaves_the_old_one(place, wire, slowly):
    place.folder_of_dump(a_dat=LARGE)
    with on_the_way(place, **slowly) as ended:
        wire.cut()
        error = ended()
    assert error.errored


CHANGES = {
    "grows": lambda path: path.open("ab").write(b"more"),
    "is written anew": lambda path: path.write_bytes(HEAD + END),
    "is replaced": lambda path: (path.rename(path.with_suffix(".old")), path.write_bytes(LARGE + b"\n")),
    "is gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_source_that_changes_while_it_is_read_is_not_taken(place, slowly, what):
    with on_the_way(place, **slowly) as ended:
        CHANGES[what](place.source)
        error = ended()
    assert not error.errored
    assert (
        "changed while it was copied" in str(error)
        or "No such file" in str(error)
        or "vanished" in str(error)
    )


def test_a_file_that_joins_the_folder_meanwhile_is_noticed(place, slowly):
    place.folder_of_dump(a_dat=LARGE)
    with on_the_way(place, **slowly) as ended:
        (place.source / "b.dat").write_bytes(b"late")
        error = ended()
    assert "it changed while it was copied" in str(error)


def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(place, rsyncd):
    place.source.write_bytes(plain(5_000_000))
    with small_disk(place.target.parent, 4):
        place.target.write_bytes(OLD)
        error = place.refused(rsyncd.url())
    assert "it has 5.0 MB, and 4.2 MB are free" in str(error)
    assert error.errored
    place.target.write_bytes(OLD)


def test_a_disk_that_fills_up_meanwhile_leaves_the_old_one(place, slowly):
    with small_disk(place.target.parent, 4):
        place.target.write_bytes(OLD)
        ballast = place.folder / "here" / ".ballast"
        with on_the_way(place, **slowly) as ended:
            with ballast.open("wb") as file:
                file.write(bytes(2_500_000))
            until_gone = ended
            # It is nothing of ours, and not to be found beside the old one.
            place.untouched = lambda: None
            error = until_gone()
        ballast.unlink()
        del place.untouched
        place.untouched()
    assert "No space left" in str(error)
    assert error.errored
    place.target.write_bytes(OLD)
