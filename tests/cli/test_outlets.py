"""A stdout or stderr that takes nothing: the act and its exit code are not lost with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.samples import an_operation, done, refused
from tests.client.puppet import Answer

ROOT = Path(__file__).resolve().parents[2]
CLOSED = (">&-", "2>&-", "<&- >&- 2>&-")
FULL = (">/dev/full", "2>/dev/full", ">/dev/full 2>&1")


@pytest.fixture
def shell(puppet, tmp_path):
    """`shell("sando status >&-")`: the exit code and what reached the other outlet."""

    def ran(line: str) -> subprocess.CompletedProcess[str]:
        script = f'sando() {{ "$PYTHON" -m sando.cli "$@"; }}\n{line}'
        env = {**os.environ, "SANDO_DAEMON": puppet.url, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            ["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return ran


@pytest.fixture
def promotes(puppet):
    """Accepted, and it has ended well when it is asked for again."""
    puppet.answers["POST", "/promote/a"] = Answer(202, an_operation())
    puppet.answers["GET", "/operations/44"] = Answer(body=done())
    puppet.answers["GET", "/events"] = Answer(body={"events": [], "seq": 0})
    return puppet


@pytest.mark.parametrize("outlets", CLOSED + FULL)
@pytest.mark.parametrize("options", ["", "--json", "--wait", "--wait --json"])
def test_an_act_ends_with_its_own_code_whatever_can_be_written(promotes, shell, outlets, options):
    ended = shell(f"sando promote a {options} {outlets}")
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr + ended.stdout
    assert len(promotes.sent("POST", "/promote/a")) == 1
    assert bool(promotes.sent("GET", "/operations/44")) == ("--wait" in options)


@pytest.mark.parametrize("outlets", CLOSED + FULL)
@pytest.mark.parametrize("words", ["promote zz", "promote zz --json", "promote", "stauts", "status zz"])
def test_what_is_refused_or_mistyped_keeps_its_code(puppet, shell, outlets, words):
    puppet.answers["POST", "/promote/zz"] = refused(404, "unknown_tier")
    ended = shell(f"sando {words} {outlets}")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr + ended.stdout


def test_an_act_whose_reader_has_gone_ends_with_its_own_code(promotes, shell):
    promotes.answers["GET", "/operations/44"] = Answer(body=done("failed", error="a-1: start"))
    ended = shell("exec 3> >(exec 3>&-); wait $!; sando promote a --wait --json >&3")
    assert ended.returncode == 1
    assert "a-1: start" in ended.stderr
    ended = shell("exec 3> >(exec 3>&-); wait $!; sando promote a >&3 2>&3")
    assert ended.returncode == 0


@pytest.mark.parametrize("outlets", ["", *CLOSED, *FULL])
def test_who_waits_for_what_somebody_else_began_gets_its_end(promotes, shell, outlets):
    promotes.answers["GET", "/operations/44"] = Answer(body=done("failed", rolled_back=True))
    assert shell(f"sando wait 44 --json {outlets}").returncode == 5


@pytest.mark.parametrize("words", ["status", "status --json", "--help", "promote --help", "completion bash"])
def test_an_answer_that_stdout_does_not_take_is_1_and_one_line(puppet, shell, words):
    ended = shell(f"sando {words} >/dev/full")
    assert (ended.returncode, ended.stderr) == (1, "sando: stdout: no space left on device\n")


@pytest.mark.parametrize("outlets", CLOSED)
def test_an_answer_to_nobody_is_one(puppet, shell, outlets):
    ended = shell(f"sando status {outlets}")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_who_follows_ends_where_nobody_reads(puppet, shell):
    puppet.happen(3)
    puppet.answers["GET", "/events"] = Answer(body={"events": puppet.log, "seq": 3})
    ended = shell("sando events -f >/dev/full")
    assert (ended.returncode, ended.stderr) == (1, "sando: stdout: no space left on device\n")
    ended = shell("exec 3> >(exec 3>&-); wait $!; sando events -f >&3")
    assert ended.returncode == 128 + signal.SIGPIPE


def test_a_workspace_is_written_whatever_can_be_said_of_it(shell, tmp_path):
    assert shell("sando init ws >/dev/full").returncode == 0
    assert (tmp_path / "ws" / "sando.toml").exists()


@pytest.mark.parametrize("outlets", CLOSED)
def test_the_screen_without_a_terminal_is_a_usage_error(shell, outlets):
    ended = shell(f"sando {outlets}")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
