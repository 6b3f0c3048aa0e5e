"""A sandod for each test; whatever it started has ended when the test has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.workspace import Workspace


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
