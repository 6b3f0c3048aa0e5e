"""A stage on a store of its own, in memory where the machine has such a folder."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sando.model.topology import Topology
from tests.factories import topology
from tests.harness import Stage

MEMORY = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sando-", dir=MEMORY if MEMORY.is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def stage_of(folder: Path) -> Callable[..., Stage]:
    def make(declared: Topology | None = None, **more: Any) -> Stage:
        stage = Stage(folder / "sando.db", declared or topology(), **more)
        stage.drain()
        return stage

    return make


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    return stage_of()
