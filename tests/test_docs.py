"""What people start by hand: our scripts are sound shell, and say what is missing; the quickstart's TOMLs are the seed's."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SEED = ROOT / "tests" / "system"
QUICKSTART = ROOT / "contrib" / "quickstart"
SHEBANG = re.compile(rb"#!.*\b(ba)?sh\b")


def is_shell(path: Path) -> bool:
    return path.suffix == ".sh" or bool(SHEBANG.match(path.open("rb").readline()))


def ours() -> list[Path]:
    """Every shell script of the tree."""
    folders = (".ci", "contrib", "sando", "tests")
    files = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return sorted(p for p in files if p.is_file() and p.suffix in {"", ".sh"} and is_shell(p))


SCRIPTS = ours()


def test_the_scripts_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in SCRIPTS}
    assert {".ci/run", "contrib/quickstart/run", "tests/run", "sando/work/post-receive.sh"} <= names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_sound(script: Path) -> None:
    """Programs (not what is sourced or filled in) end at the first failure; each one is executable."""
    text = script.read_text()
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "\r" not in text
    assert "\t" not in text
    if text.startswith("#!/usr/bin/env bash"):
        assert "\nset -euo pipefail\n" in text
        assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", ["daemon.toml", "sando.toml"])
def test_the_quickstart_has_the_files_of_the_seed(name: str) -> None:
    assert (QUICKSTART / name).read_text() == (SEED / f"seed_{name}").read_text()


def test_the_samples_declare_the_same_version() -> None:
    crate = tomllib.loads((QUICKSTART / "sample-rust/server/Cargo.toml").read_text())["package"]
    assert crate["version"] == (QUICKSTART / "sample-python/server/VERSION").read_text().strip() == "0.8.1"


def test_the_samples_need_nothing_from_the_network() -> None:
    crate = tomllib.loads((QUICKSTART / "sample-rust/server/Cargo.toml").read_text())
    assert crate.get("dependencies", {}) == {}


def only(folder: Path, *programs: str) -> str:
    """A PATH with these programs alone."""
    folder.mkdir()
    for name in programs:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


def copy(tmp_path: Path) -> Path:
    """The quickstart in a tree of its own, which has no environment yet."""
    tree = tmp_path / "clone"
    shutil.copytree(QUICKSTART, tree / "contrib" / "quickstart")
    shutil.copy(ROOT / "setup.py", tree)
    return tree


def start(tree: Path, path: str) -> tuple[int, str]:
    done = subprocess.run(
        ["/bin/bash", tree / "contrib" / "quickstart" / "run"],
        env={"PATH": path}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def program(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_without_git_the_quickstart_says_how_to_get_it(tmp_path: Path) -> None:
    code, said = start(copy(tmp_path), only(tmp_path / "bin", "dirname"))
    assert code == 1
    assert "git is missing. Debian and Ubuntu: apt-get install git" in said


def test_without_python_the_quickstart_says_how_to_get_it(tmp_path: Path) -> None:
    code, said = start(copy(tmp_path), only(tmp_path / "bin", "dirname", "git"))
    assert code == 1
    assert "sando needs Python 3.11 or newer; found: none" in said


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    path = only(tmp_path / "bin", "dirname", "git")
    program(tmp_path / "bin" / "python3", "case $2 in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac")
    code, said = start(copy(tmp_path), path)
    assert code == 1
    assert "found: 3.9.2" in said


def test_a_python_without_venv_is_told_which_package_has_it(tmp_path: Path) -> None:
    path = only(tmp_path / "bin", "dirname", "git")
    program(tmp_path / "bin" / "python3", "case $2 in *ensurepip*) exit 1 ;; esac")
    code, said = start(copy(tmp_path), path)
    assert code == 1
    assert "apt-get install python3-venv" in said


def test_what_is_there_and_no_environment_is_left_alone(tmp_path: Path) -> None:
    tree = copy(tmp_path)
    (tree / ".venv").mkdir()
    (tree / ".venv" / "mine").touch()
    path = only(tmp_path / "bin", "dirname", "git", "ls")
    (tmp_path / "bin" / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    code, said = start(tree, path)
    assert code == 1
    assert "is no virtual environment: move it away" in said
    assert (tree / ".venv" / "mine").exists()
