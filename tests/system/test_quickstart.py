"""The command of the README that a newcomer types first, for real: with cargo, without, red, and interrupted."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.system.cli import Cli
from tests.system.sandod import Sandod, until

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = ROOT / "contrib" / "quickstart" / "run"
CALM = {"TERM": "dumb"}


def quickstart(workspace: Path, path: str | None = None, *options: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **CALM, **({"PATH": path} if path else {})}
    return subprocess.run(
        ["bash", RUN, "--dir", workspace, *options],
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=110, check=False,
    )  # fmt: skip


def left_of(workspace: Path) -> list[str]:
    """Processes that were told of the workspace, or stand in it."""
    mark = os.fsencode(workspace)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            stands = os.fsencode((process / "cwd").readlink())
        except OSError:
            continue  # ended meanwhile, or of somebody else
        if mark in told or mark in stands:
            found.append(f"{process.name}: {told[:80]!r}")
    return found


def wait_until_gone(workspace: Path) -> None:
    end = time.monotonic() + 60
    while left := left_of(workspace):
        assert time.monotonic() < end, left
        time.sleep(0.05)


def without(tmp_path: Path, *names: str) -> str:
    """A PATH with all that is on ours but these programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if program.name not in names and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def is_green(done: subprocess.CompletedProcess[str], workspace: Path) -> None:
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("ok: pushed, gated, promoted, confirmed and rolled back in ")
    assert "/promote/a -H 'Content-Type: application/json' -d '{\"version\":\"0.8.1\"}'" in done.stdout
    shown = [line.split("says ")[1] for line in lines if "its server says" in line]
    assert shown == ["0.8.1", "0.8.2", "0.8.1"]
    assert not workspace.exists()
    assert left_of(workspace) == []


def test_the_quickstart_is_green_with_a_crate_in_a_folder_with_spaces(tmp_path: Path) -> None:
    workspace = tmp_path / "my first sando"
    done = quickstart(workspace)
    assert "the sample is a Rust crate" in done.stdout
    is_green(done, workspace)


def test_the_quickstart_is_green_where_neither_cargo_nor_curl_is(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    done = quickstart(workspace, without(tmp_path, "cargo", "rustc", "curl"))
    assert "the sample is a server in Python" in done.stdout
    is_green(done, workspace)


def test_a_red_quickstart_shows_both_logs_and_keeps_its_workspace(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    path = without(tmp_path, "cargo", "rustc")
    for name in ("cargo", "rustc"):
        program = tmp_path / "bin" / name
        program.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] || {{ echo no crate today; exit 3; }}\necho {name} 1.0\n'
        )
        program.chmod(0o755)
    done = quickstart(workspace, path)
    assert done.returncode == 1, done.stdout
    assert "ended with BuildFailed" in done.stdout, done.stdout
    assert "the last lines of operation 1's log:" in done.stdout
    assert "  | no crate today" in done.stdout
    assert "the last lines of sandod's log:" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"everything of it lies in {workspace}")
    assert (workspace / "sandod.log").exists()
    assert left_of(workspace) == []


def test_another_sandod_that_took_the_port_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """It answers at once, while the one that was started still loads, and will not get the port."""
    port, log = free_port(), tmp_path / "sandod.log"
    log.write_text("")
    other = subprocess.Popen(
        [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", tmp_path, str(port)],
        stderr=subprocess.DEVNULL,
    )
    (tmp_path / "healthz").write_text("ok")
    own = subprocess.Popen(["sleep", "600"])
    walk = [sys.executable, str(ROOT / "contrib" / "quickstart" / "walk.py")]
    wait = subprocess.Popen([*walk, "wait", f"http://127.0.0.1:{port}", str(own.pid), str(log)])
    try:
        until(lambda: answers(port), what="for the other one to answer")
        with pytest.raises(subprocess.TimeoutExpired):
            wait.wait(1)
        own.kill()
        own.wait(60)
        assert wait.wait(60) == 1
    finally:
        for process in (other, own, wait):
            process.kill()
            process.wait(60)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_kept_it_runs_on_and_says_how_to_stop_it(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    done = quickstart(workspace, None, "--keep")
    pid = int((workspace / "sando.db.lock").read_text())
    try:
        assert done.returncode == 0, done.stdout
        assert f"kill {pid}; rm -rf {workspace}" in done.stdout
        address = done.stdout.split("sandod runs on http://")[1].split()[0]
        state = subprocess.run(["curl", "-sf", f"http://{address}/state"], capture_output=True, check=False)
        assert b'"current_version":"0.8.1"' in state.stdout
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until_gone(workspace)


@pytest.mark.parametrize("place", ["sandod runs on", "build 1 of", "promote 0.8.1 to"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, place: str) -> None:
    workspace = tmp_path / "ws"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", str(RUN), "--dir", str(workspace)], {**os.environ, **CALM})
    said, pressed = b"", False
    while chunk := read(terminal):
        said += chunk
        if not pressed and place.encode() in said:
            os.write(terminal, b"\x03")
            pressed = True
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130, said
    os.close(terminal)
    assert not workspace.exists()
    assert left_of(workspace) == []


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # its other end is closed
        return b""


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = quickstart(tmp_path)
    assert done.returncode == 1
    assert "is not an empty folder" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_clone_that_is_not_ours_to_write_says_so(tmp_path: Path) -> None:
    """A file where `.venv` should be cannot be written by root either."""
    tree = tmp_path / "clone"
    shutil.copytree(RUN.parent, tree / "contrib" / "quickstart")
    shutil.copy(ROOT / "setup.py", tree)
    (tree / ".venv").symlink_to("/proc/nowhere")
    done = subprocess.run(
        ["bash", tree / "contrib" / "quickstart" / "run"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Clone it into a folder of your own" in done.stderr


# -- of the same port by default: not beside the quickstart of another worker ------------------------------------------


def test_what_init_writes_starts(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    made = Sandod(root)
    said = Cli("").run("init", str(root))
    assert said.code == 0, said
    made.port = int(tomllib.loads((root / "daemon.toml").read_text())["listen"].rpartition(":")[2])
    try:
        assert f"SANDO_CONFIG={root}/daemon.toml sandod" in said.out
        assert made.run("--check").returncode == 0
        made.start()
        ended = Cli(made.url).run("status")
        assert [line.split()[0] for line in ended.out.splitlines()[3:6]] == ["mm", "a", "b"]
        assert (root / "repo.git").is_dir()
    finally:
        assert not made.finish()
