"""A long reader of the backup, such as a rehearsal, keeps what it began with, whatever is fetched meanwhile."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sando.work.backup import held
from tests.work import fetching
from tests.work.fetching import DUMP, OLD, content

place = fetching.place


def test_whoever_holds_a_file_reads_it_to_its_end_whatever_is_fetched_meanwhile(place):
    with held(str(place.target)) as path:
        place.fetch()
        assert path.read_bytes() == OLD
        assert place.target.read_bytes() == DUMP
    assert [p.name for p in place.target.parent.iterdir()] == ["backup.sql"]


def test_whoever_holds_a_folder_reads_all_of_its_files_whatever_is_fetched_meanwhile(place):
    files = place.folder_of_dump(a_dat=b"one", b_dat=b"two")
    place.fetch()
    with held(str(place.target)) as path:
        (place.source / "a.dat").write_bytes(b"changed")
        place.fetch()
        assert content(path) == files
        assert content(place.target)["a.dat"] == b"changed"
    assert [p.name for p in place.target.parent.iterdir()] == ["backup.sql"]


def test_what_a_killed_reader_held_is_let_go_by_the_next_fetch(place):
    left = place.target.with_name(".backup.sql.held-0123456789abcdef")
    left.mkdir()
    os.link(place.target, left / "backup.sql")
    place.fetch()
    assert not left.exists()


def test_there_is_nothing_to_hold_where_no_backup_is(place):
    place.target.unlink()
    with pytest.raises(FileNotFoundError), held(str(place.target)):
        pass
    assert not list(place.target.parent.iterdir())


def test_without_hard_links_the_backup_itself_is_read(place, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with held(str(place.target)) as path:
        assert path == place.target


def test_a_folder_that_is_replaced_while_it_is_held_is_held_whole_all_the_same(place):
    """Fetches go on and on meanwhile: what is held is of one moment."""
    place.folder_of_dump(v0_dat=b"0", w0_dat=b"0")
    place.fetch()
    over = threading.Event()

    def replace():
        number = 0
        while not over.is_set():
            for name in ("v", "w"):
                (place.source / f"{name}{number}.dat").rename(place.source / f"{name}{number + 1}.dat")
            number += 1
            place.fetch()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(replace)
        for _ in range(30):
            with held(str(place.target)) as path:
                names = {p.name for p in path.iterdir()}
                assert len(names) == 3, names
                assert len({name[1:] for name in names} - {"oc.dat"}) == 1, names
        over.set()
        other.result(20)
