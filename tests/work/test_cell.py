"""Containment by control groups, in a real one that is delegated as systemd does it; and builds without memory."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sando.work import cell
from sando.work.running import Exit
from tests.work.wild import WILD

ROOT = Path(__file__).resolve().parents[2]

# One job, in a daemon that stands in the group it was started in: prints what it saw of the job's group.
DAEMON = """
import os, signal, sys, threading
from pathlib import Path
from sando.work import cell
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Keepers, clean_env
mode, folder, *argv = sys.argv[1:]
if os.geteuid() == 0 and mode == "other":  # whoever changes his user may not be looked into, as sandod makes itself
    os.setresuid(65534, 65534, 65534)
keepers = Keepers.start()
log = OpLog(Path(folder) / "1.log")
job = keepers.spawn(argv, cwd=folder, env=clean_env(), log=log, step="build")
read = lambda pid: [l for l in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if l.startswith("0::")][0][3:]
if mode in ("end", "keeper"):  # else it may have ended
    print("daemon", read("self"))
    print("leader", read(job.pid))
    print("keeper", read(job._keeper))
if mode == "keeper":
    os.kill(job._keeper, signal.SIGKILL)
while mode in ("end", "keeper") and b"ready" not in log.path.read_bytes():
    pass
try:
    print("ended", job.end(0.2) if mode == "end" else job.wait())
except Exception as error:
    print("ended", error)
keepers.close()
"""


class Group:
    """A control group of the test's own, in the hierarchy of v2 or in another one; removed with all in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def run(self, *words: str, folder: Path) -> dict[str, str]:
        enter = f"echo $$ > '{self.folder}/cgroup.procs' && exec \"$@\""
        done = subprocess.run(
            ["sh", "-c", enter, "sh", sys.executable, "-c", DAEMON, words[0], str(folder), *words[1:]],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    def below(self) -> list[str]:
        return [p.name for p in self.folder.iterdir() if p.is_dir()]


def of_v2() -> Path | None:
    """Where groups can be made here, if anywhere."""
    place = cell.own()
    return place if place and os.access(place, os.W_OK) and os.geteuid() == 0 else None


@pytest.fixture
def group(tmp_path):
    """None where this machine lets nobody make one."""
    place = of_v2()
    made = Group(place / f"sando-test-{os.getpid()}") if place else None
    yield made
    if made:
        for folder in sorted(made.folder.rglob("*/"), reverse=True):
            folder.rmdir() if folder.is_dir() else None
        made.folder.rmdir()


def test_where_the_group_is_delegated_a_build_is_killed_with_a_group_of_its_own(group, tmp_path):
    if group is None:
        assert cell.delegated() is None
        return
    os.setxattr(group.folder, "user.delegate", b"1")
    said = group.run("end", "sh", "-c", WILD + "exec sleep 300", folder=tmp_path)
    assert said["leader"].startswith(f"{said['daemon']}/job-")
    assert said["keeper"] == said["daemon"], "it is not in what it kills"
    assert said["ended"].startswith("killed by SIG")
    assert group.below() == []
    assert (group.folder / "cgroup.procs").read_text() == ""


def test_a_keeper_that_is_killed_takes_the_group_along(group, tmp_path):
    if group is None:
        assert cell.delegated() is None
        return
    os.setxattr(group.folder, "user.delegate", b"1")
    said = group.run("keeper", "sh", "-c", "setsid sleep 300 & echo ready; exec sleep 300", folder=tmp_path)
    assert "its keeper was killed from outside" in said["ended"]
    assert group.below() == []
    assert (group.folder / "cgroup.procs").read_text() == ""


def test_a_group_that_nobody_delegated_is_left_as_it_is(group, tmp_path):
    if group is None:
        assert cell.delegated() is None
        return
    said = group.run("end", "sh", "-c", "echo ready; exec sleep 300", folder=tmp_path)
    assert said["leader"] == said["keeper"] == said["daemon"]
    assert group.below() == []


@pytest.mark.parametrize("mode", ["wait", "other"])
def test_builds_are_the_first_to_go_where_memory_runs_out_and_their_keeper_is_not(mode):
    mine = Path("/proc/self/oom_score_adj").read_text().strip()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # for another user
        until = "until [ $(cat /proc/{}/oom_score_adj) = {} ]; do sleep 0.01; done"
        waits = f"{until.format('self', int(mine) + 500)}; {until.format('$PPID', mine)}; echo both"
        said = subprocess.run(
            [sys.executable, "-c", DAEMON, mode, folder, "sh", "-c", waits],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert "ended exit status 0" in said.stdout
        assert Path(folder, "1.log").read_text() == "both\n"


def test_a_user_of_its_own_to_whom_systemd_gave_the_group_may_divide_it(group):
    if group is None:
        assert cell.delegated() is None
        return
    nobody = 65534
    for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        os.chown(group.folder / name, nobody, nobody)
    ours, theirs = os.pipe()
    if not (child := os.fork()):
        (group.folder / "cgroup.procs").write_text("0")
        os.setgroups([])
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)
        place = cell.delegated()
        mine = cell.Cell(place or Path("/nowhere"), 1)
        mine.enter()
        inside = (group.folder / "job-1" / "cgroup.procs").read_text().split() == [str(os.getpid())]
        mine.leave()
        mine.kill()
        mine.remove()
        os.write(theirs, f"{place == group.folder} {inside} {mine.held} {group.below()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(theirs)
    with os.fdopen(ours) as said:
        assert said.read() == "True True True []"


@pytest.mark.parametrize(
    "odd", ["30 1 0:9 / /odd rw - odd none", "30 1 0:9 / /odd rw - odd a b c", "30 1 0:9 / /odd rw"]
)
def test_a_mount_that_is_told_oddly_hides_no_group(odd, tmp_path, monkeypatch):
    (tmp_path / "mounts").write_text(
        f"{odd}\n31 1 0:10 / /v2 rw - cgroup2 cgroup2 rw\n32 1 0:11 /a /v1 rw - cgroup cgroup rw,memory\n"
    )
    (tmp_path / "own").write_text("3:name=systemd:/x\n2:cpu,memory:/a/b\n0::/c/d\n")
    monkeypatch.setattr(cell, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(cell, "_OWN", tmp_path / "own")
    assert (cell.own(), cell._own("memory", "cgroup")) == (Path("/v2/c/d"), Path("/v1/b"))


HUNGRY = "x = bytearray(400 << 20)"


def limited(megabytes: int) -> Group | None:
    """A group with so much memory and no swap: of v2 where it has that controller, else of v1."""
    v1 = Path("/sys/fs/cgroup/memory")
    if not os.access(v1 / "memory.limit_in_bytes", os.R_OK) or not os.access(v1, os.W_OK):
        return None
    made = Group(v1 / f"sando-test-{os.getpid()}")
    (made.folder / "memory.limit_in_bytes").write_text(str(megabytes << 20))
    return made


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([sys.executable, "-c", HUNGRY], "killed by the kernel: out of memory (SIGKILL)"),
        (["sh", "-c", f"{sys.executable} -c '{HUNGRY}' || exit 101"], "exit status 101 (out of memory: the kernel killed 1 process)"),
    ],
)  # fmt: skip
def test_a_build_that_the_kernel_killed_for_lack_of_memory_is_told_as_such(argv, told, tmp_path):
    place = limited(150)
    if place is None:
        number, code = (9, None) if told.startswith("killed") else (None, 101)
        assert str(Exit(code, number, oom=1)) == told
        return
    elsewhere = cell.oom_kills(cell.oom_file())
    try:
        assert place.run("wait", *argv, folder=tmp_path)["ended"] == told
        assert cell.oom_kills(cell.oom_file()) == elsewhere, "it is counted where it was killed"
    finally:
        place.folder.rmdir()


def test_how_an_end_is_told_with_and_without_a_lack_of_memory():
    assert str(Exit(0, None, oom=3)) == "exit status 0"
    assert str(Exit(None, signal.SIGKILL, ended=True, oom=1)) == "killed by SIGKILL"
    assert str(Exit(None, signal.SIGKILL)) == "killed by SIGKILL (nobody here sent it: out of memory?)"
    assert str(Exit(2, None, oom=2)) == "exit status 2 (out of memory: the kernel killed 2 processes)"


def test_how_an_end_is_told_where_there_was_no_room():
    full = "no room left in /w: 0 MiB free"
    assert str(Exit(1, None, full=full)) == f"exit status 1 ({full})"
    assert Exit(None, signal.SIGBUS, full=full).of("`make`") == f"`make` was killed by SIGBUS ({full})"
