"""Keepers for the tests of a module: as in sandod, their spawner is a small process."""

from collections.abc import Iterator

import pytest

from sando.work.process import Keepers, _Spawner


def small_keepers() -> Keepers:
    """Forked from here, the spawner, each keeper and each command would copy the page tables of all that tests load."""
    return Keepers(_Spawner.fresh())


@pytest.fixture(scope="module")
def keepers() -> Iterator[Keepers]:
    made = small_keepers()
    yield made
    made.close()
