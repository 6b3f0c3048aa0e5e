"""The unit as systemd reads it, without a systemd that runs: no mistake in it, and as closed as it says."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "contrib" / "systemd" / "sandod.service"
PROGRAM = "opt/sando/current/bin/sandod"


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    argv = ["systemd-analyze", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine that has the unit and its programs."""
    for name in (PROGRAM, "bin/kill"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / UNIT.name).write_text(UNIT.read_text())
    for target in ("sysinit", "basic", "shutdown", "network-online", "multi-user"):
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\nDefaultDependencies=no\n")
    (units / "system.slice").write_text("[Unit]\nDescription=slice\nDefaultDependencies=no\n")
    return tmp_path


def test_systemd_finds_no_mistake_in_the_unit(machine: Path) -> None:
    done = analyze("verify", f"--root={machine}", "--man=no", UNIT.name)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_that_check_bites(machine: Path) -> None:
    placed = machine / "etc/systemd/system" / UNIT.name
    placed.write_text(placed.read_text().replace("WatchdogSec=60", "WatchdogSek=60"))
    assert "WatchdogSek" in analyze("verify", f"--root={machine}", "--man=no", UNIT.name).stderr


def test_the_unit_is_as_closed_as_builds_allow() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", UNIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert analyze("security", "--offline=true", "--threshold=10", UNIT).returncode != 0


def test_every_door_that_stays_open_says_what_for() -> None:
    lines = UNIT.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.endswith("=no") or line.startswith(("RestrictAddressFamilies", "SystemCallFilter=@chown")):
            above = [text for text in lines[max(0, number - 3) : number] if text.startswith("#")]
            assert above, f"{line} needs a comment"


def test_what_the_daemon_relies_on_is_in_the_unit() -> None:
    has = directives(UNIT.read_text())
    expected = {
        "Type": "notify", "NotifyAccess": "main", "KillMode": "mixed", "OOMPolicy": "continue", "Delegate": "yes",
        "Restart": "on-failure", "RestartPreventExitStatus": "78", "User": "sando", "ExecStart": f"/{PROGRAM}",
    }  # fmt: skip
    assert {name: has[name] for name in expected} == {name: [value] for name, value in expected.items()}
    assert int(has["TimeoutStopSec"][0]) > 60, "the node in work may take that long"
    assert int(has["WatchdogSec"][0]) > 30, "a disk that stalls for a moment is no hang"
