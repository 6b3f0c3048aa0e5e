"""On what kind of file system a state lies, and what is told of one that does not keep it."""

import os
from pathlib import Path

import pytest

from sando.daemon import rights
from sando.model.topology import DaemonSpec

MOUNTS = """22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / /srv rw - nfs4 store:/srv rw
41 40 0:36 / /srv/with\\040blank rw - cifs //store/x rw
42 22 0:37 / /srv/disk rw - ext4 /dev/sdb1 rw
43 42 0:38 / /srv/disk rw master:2 - xfs /dev/sdc1 rw
44 22 0:39 / /srvr rw - fuse.sshfs far:/ rw
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/sando", "ext4"),
        ("/srv/sando", "nfs4"),
        ("/srv/with blank/sando", "cifs"),
        ("/srv/disk/sando", "xfs"),
        ("/srvr", "fuse.sshfs"),
        ("/srv", "nfs4"),
    ],
)
def test_a_path_lies_on_the_mount_that_is_nearest_above_it_and_came_last(
    mounts: Path, path: str, kind: str
) -> None:
    assert rights.file_system(Path(path), mounts) == kind


def test_the_kind_of_a_real_folder_is_known_here(tmp_path: Path) -> None:
    assert rights.file_system(Path("/proc/self")) == "proc"
    assert rights.file_system(tmp_path / "not" / "there") not in {"", "proc"}


def test_where_the_kernel_tells_nothing_nothing_is_said(tmp_path: Path) -> None:
    assert rights.file_system(tmp_path, tmp_path / "gone") == ""


def test_a_state_on_a_network_file_system_is_warned_of_with_its_folder_and_its_kind(mounts: Path) -> None:
    daemon = DaemonSpec("127.0.0.1", 7766, "/srv/sando.db", "t", "/var/lib/sando/work", "/srvr/releases")
    told = list(rights.warnings(daemon, mounts))
    assert [line.split(",")[0] for line in told if "network" in line] == [
        "/srv is on nfs4",
        "/srvr/releases is on fuse.sshfs",
    ]


def test_a_state_of_somebody_else_is_warned_of_where_sandod_is_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a plain user may not write is refused, see `tests/system/test_rights.py`; root may write everywhere."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    daemon = DaemonSpec(
        "127.0.0.1", 7766, f"{tmp_path}/sando.db", "t", f"{tmp_path}/w", "/proc/self/releases"
    )
    if os.getuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    told = list(rights.warnings(daemon))
    assert any(f"{tmp_path} belongs to " in line and "runs as root" in line for line in told)
