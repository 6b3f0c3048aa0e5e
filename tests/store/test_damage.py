"""A store with damage anywhere in it is refused by its path and left alone, or is whole for all that it is asked."""

import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.operation import Operation, Status
from sando.store import Store, StoreRefusedError
from sando.store.look import Look

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
PLACES = 100


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "sando.db"
    store = Store(path)
    store.open()
    for number in range(1, 300):
        operation = Operation(number, "promote", "a", "1.0", "a" * 40, "max", "", Status.SUCCEEDED, NOW)
        store.save(operation, Event("DeployOk", NOW, number, "a", data={"text": "x" * 200}))
    store.finish()
    return path


def opened(path: Path) -> str:
    """What a start says that refuses the file; empty where it takes it."""
    store = Store(path)
    try:
        store.open()
    except StoreRefusedError as error:
        return str(error)
    finally:
        store.close()
    return ""


def read(path: Path) -> str:
    """What reading all of it says; empty where all is as it was written."""
    store = Store(path)
    try:
        numbers = [e.operation for e in store.events(0, 1000)]
        ids = [o.id for o in store.operations(limit=1000)]
    except (StoreRefusedError, StoreUnavailable) as error:
        return str(error)
    finally:
        store.close()
    assert (numbers, ids[::-1]) == (list(range(1, 300)),) * 2
    return ""


def damage(path: Path) -> list[str]:
    look = Look(path)
    try:
        look.open()
        return list(look.damage())
    except StoreRefusedError as error:
        return [str(error)]
    finally:
        look.close()


def test_damage_at_a_hundred_places_is_told_by_its_path_and_never_written_over(
    whole: Path, tmp_path: Path
) -> None:
    chance = random.Random(7)
    size = whole.stat().st_size
    refused = found = 0
    for place in range(PLACES):
        path = tmp_path / f"{place}.db"
        shutil.copyfile(whole, path)
        with path.open("r+b") as file:
            file.seek(place * size // PLACES)
            file.write(chance.randbytes(64))
        before = path.read_bytes()
        if said := opened(path):
            refused += 1
            assert str(path) in said
            assert path.read_bytes() == before, "it is left as it is, for whoever mends it"
        elif said := read(path):
            found += 1
            assert damage(path), said
    assert refused > PLACES // 10
    assert refused + found > PLACES // 2, "most of the file is rows and what leads to them"


@pytest.mark.parametrize("size", [1, 50, 100, 512, 4096, 4097, 20_000])
def test_a_store_that_was_cut_off_is_refused_and_left_alone(whole: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.db"
    shutil.copyfile(whole, path)
    os.truncate(path, size)
    before = path.read_bytes()
    with pytest.raises(StoreRefusedError, match=str(path)):
        Store(path).open()
    assert path.read_bytes() == before
