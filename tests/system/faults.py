"""A store whose writes fail when a test says so: `fault.c` before libc's, armed through a file that sandod has mapped."""

import errno
import struct
import subprocess
from pathlib import Path

import pytest

from tests.system.workspace import Workspace

SOURCE = Path(__file__).with_name("fault.c")
LAYOUT = struct.Struct("6l")
KINDS = {"write": 1, "fsync": 2, "both": 3}


class Faults:
    """`arm` the nth write or fsync of the store from now on, `disarm`, and `failed`: how many did.

    `file` is what the process has mapped that began with `environment`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def of(cls, sandod: Workspace, library: Path) -> "Faults":
        made = cls(sandod.root / "fault")
        sandod.env |= made.environment(library)
        return made

    def environment(self, library: Path) -> dict[str, str]:
        self._file.write_bytes(LAYOUT.pack(0, 0, 0, 0, 0, 3))
        return {"LD_PRELOAD": str(library), "FAULT": str(self._file), "FAULT_PATH": "/sando.db"}

    def arm(self, nth: int, number: int = errno.ENOSPC, kind: str = "both", *, stays: bool = False) -> None:
        with self._file.open("r+b", buffering=0) as file:
            file.write(LAYOUT.pack(nth, number, int(stays), 0, 0, KINDS[kind]))

    def disarm(self) -> None:
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("3l", 0, 0, 0))

    @property
    def failed(self) -> int:
        return int(LAYOUT.unpack(self._file.read_bytes())[4])

    @property
    def seen(self) -> int:
        return int(LAYOUT.unpack(self._file.read_bytes())[3])


@pytest.fixture(scope="session")
def fault(tmp_path_factory):
    """The library; a test module takes it together with `faults`."""
    library = tmp_path_factory.mktemp("fault") / "fault.so"
    flags = [
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        "-D_FORTIFY_SOURCE=0",
        "-U_FILE_OFFSET_BITS",
    ]
    subprocess.run(["cc", *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library
