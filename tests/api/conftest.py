"""A room for each test, and a server in it for those that need sockets."""

from collections.abc import Iterator

import pytest

from api.server import Server
from tests.api.room import Room, serving


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def server(room: Room) -> Iterator[Server]:
    with serving(room) as running:
        yield running
