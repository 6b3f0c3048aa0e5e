"""A sandod whose clocks a test can set: `wall.c` before the wall clock, a file before the name of the boot.

libfaketime would do the first, but up to 0.9.10 it breaks `time.sleep` of Python 3.11 (EINVAL) once the monotonic
clock is left alone, as it is by whoever sets a clock.
"""

import shlex
import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.system.workspace import Workspace

BOOT_ID = "/proc/sys/kernel/random/boot_id"
SOURCE = Path(__file__).with_name("wall.c")


class Clocks:
    """`jump` moves the wall clock of sandod, running or not; the boot clock goes on. `reboot` names another boot."""

    def __init__(self, sandod: Workspace, library: Path) -> None:
        self.sandod = sandod
        self.offset = 0.0
        self._wall = sandod.root / "wall"
        self._boot = sandod.root / "boot_id"
        self._wall.write_bytes(struct.pack("d", 0.0))
        sandod.env |= {"LD_PRELOAD": str(library), "WALL_OFFSET": str(self._wall)}

    def jump(self, seconds: float) -> None:
        self.offset += seconds
        with self._wall.open("r+b", buffering=0) as file:  # sandod has mapped it
            file.write(struct.pack("d", self.offset))

    def reboot(self) -> None:
        """The next start is in another boot: a file is put over the kernel's, in a namespace of sandod's own."""
        self._boot.write_text(f"{uuid.uuid4()}\n")
        mount = f"mount --bind {shlex.quote(str(self._boot))} {BOOT_ID}"
        own = ["unshare", "--mount"]
        if subprocess.run([*own, "sh", "-c", mount], capture_output=True, check=False).returncode:
            own = ["unshare", "--map-current-user", "--keep-caps", "--mount"]
            told = subprocess.run([*own, "sh", "-c", mount], capture_output=True, text=True, check=False)
            if told.returncode:
                pytest.skip(f"nothing can be mounted here: {told.stderr.strip()}")
        self.sandod.before = [*own, "sh", "-c", f'{mount} && exec "$@"', "sh"]


@pytest.fixture(scope="session")
def wall(tmp_path_factory):
    """The library; a test module takes it together with `clocks`."""
    library = tmp_path_factory.mktemp("wall") / "wall.so"
    argv = [
        "cc",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(SOURCE),
        "-lm",
        "-ldl",
    ]
    subprocess.run(argv, check=True)
    return library


@pytest.fixture
def clocks(sandod, wall):
    return Clocks(sandod, wall)
