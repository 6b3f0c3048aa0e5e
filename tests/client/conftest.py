"""A daemon that does as it is told, for each test."""

from collections.abc import Iterator

import pytest

from tests.client.puppet import Puppet


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    made = Puppet().start()
    yield made
    made.stop()
