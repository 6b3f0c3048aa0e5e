"""A sandod for each test; whatever it started has ended when the test has."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.canary import ENVIRONMENT, Canaries, hook_tokens, told_by_files
from tests.system.manager import Manager
from tests.system.workspace import Workspace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that were given more time than others begin first: at the end nobody is to wait for one of them alone."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(scope="session", autouse=True)
def _nothing_was_told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """At the end of the layer: no file of any of its sandods holds what was in a sandod's environment, or a hook's token."""
    yield
    told = []
    for folder in tmp_path_factory.getbasetemp().iterdir():
        if not folder.is_symlink():  # a sandod knows no other's token: all for all would be a minute
            secrets = {"a sandod's environment": ENVIRONMENT} | hook_tokens(folder)
            told += told_by_files(folder, Canaries(secrets))
    assert told == []


@pytest.fixture
def sandod(tmp_path: Path) -> Iterator[Workspace]:
    """Not configured and not started yet. Its log is shown when the test fails."""
    root = tmp_path / "ws"
    root.mkdir()
    workspace = Workspace(root)
    yield workspace
    left = workspace.finish()
    if workspace.log.exists():
        print(workspace.log.read_text(errors="replace"))  # noqa: T201
    assert not left, "a sandod that is gone left processes behind"


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, sandod: Workspace) -> Iterator[Manager]:
    """systemd's end of the socket that the test's sandod speaks to; that one is to be started yet."""
    address = f"@sando-{os.getpid()}-{secrets.token_hex(4)}"
    if request.param == "path":
        address = str(sandod.root / "notify")
    listening = Manager(address)
    sandod.env |= {"NOTIFY_SOCKET": address}
    yield listening
    sandod.finish()
    listening.close()
