"""A store on a real file, a clock that a test moves, and notifiers that try again soon."""

from collections.abc import Iterator

import pytest

from sando.model import notices
from sando.store import Store
from tests.notify.post_office import PostOffice


@pytest.fixture(autouse=True)
def _soon(monkeypatch) -> None:
    monkeypatch.setattr(notices, "FIRST_S", 0.02)
    monkeypatch.setattr(notices, "LONGEST_S", 0.1)


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    made = Store(tmp_path / "sando.db")
    made.open()
    yield made
    made.close()


@pytest.fixture
def office(store: Store) -> Iterator[PostOffice]:
    made = PostOffice(store)
    yield made
    made.close()
