"""A store that cannot be opened at a start: waited for where its disk is full, refused where it is anything else."""

import pytest

from sando.daemon import patience
from sando.daemon.patience import open_store
from sando.sd import Notify
from sando.store import Store, StoreRefusedError


@pytest.fixture
def broken(tmp_path):
    """A file that SQLite does not open."""
    path = tmp_path / "sando.db"
    path.write_bytes(b"x" * 4096)
    return path


def test_it_is_waited_for_while_its_disk_is_full_and_opened_when_there_is_room(broken, monkeypatch, caplog):
    looks = []

    def room(_path):
        looks.append(0)
        if len(looks) == 3:
            broken.unlink()  # what kept it from being opened
        return 0

    monkeypatch.setattr(patience, "_room", room)
    monkeypatch.setattr(patience, "AGAIN_S", 0.0)
    store = Store(broken)
    open_store(store, Notify())
    assert (store.newest_operation(), len(looks)) == (0, 3)
    said = f"{broken} cannot be opened: its disk is full; make room there; sandod starts as soon as it can be"
    assert [r.getMessage() for r in caplog.records] == [said] * 3
    store.close()


def test_it_is_refused_at_once_where_there_is_room(broken):
    with pytest.raises(StoreRefusedError, match=str(broken)):
        open_store(Store(broken), Notify())
