"""Each write and fsync of the store fails once, on a full and on a broken disk: nothing that was told is lost."""

import errno
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import faults as fault_tools
from tests.system.faults import Faults

fault = fault_tools.fault
ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
LEAST = {"birth": (100, 5), "copy": (20, 4), "round": (300, 30)}
"""Of each walk: how many writes and fsyncs it has at least. One that reached none would prove nothing."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the machine has such a folder: some thousand fsyncs."""
    made = Path(tempfile.mkdtemp(prefix="sando-", dir=MEMORY if MEMORY.is_dir() else None))
    (made / "state").mkdir()
    yield made
    shutil.rmtree(made)


def walked(
    folder: Path, library: Path, walk: str, kind: str, number: int
) -> subprocess.CompletedProcess[str]:
    environment = Faults(folder / "fault").environment(library)
    command = [sys.executable, "-m", "tests.store.walk", walk, kind, str(number), str(folder / "state")]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("kind", ["write", "fsync"])
@pytest.mark.parametrize("walk", ["birth", "copy", "round"])
@pytest.mark.timeout(600)
@pytest.mark.campaign
@pytest.mark.long
def test_whichever_write_fails_the_store_is_whole_and_has_all_that_was_told(
    folder: Path, fault: Path, walk: str, kind: str, number: int
) -> None:
    done = walked(folder, fault, walk, kind, number)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= LEAST[walk][kind == "fsync"]


def test_a_store_that_tells_what_it_could_not_keep_is_found_out(folder: Path, fault: Path) -> None:
    done = walked(folder, fault, "lying", "write", errno.ENOSPC)
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
