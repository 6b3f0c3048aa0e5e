"""The boot of an artifact with real processes: every verdict, and that nothing is left of any of them."""

import sys
import threading
import time
from pathlib import Path

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.model.topology import Probe
from sando.work.boot import boot, free_port, with_port
from sando.work.cancel import CancelToken
from sando.work.log import OpLog, tail
from sando.work.process import clean_env
from tests.work.nodes import AT_ONCE_S, SERVER, Answering, alive, until

HTTP = Probe(http="http://127.0.0.1:{port}/health")


@pytest.fixture
def start(tmp_path, keepers):
    """Boot a script written to the release folder; what it left running is looked for afterwards."""
    (tmp_path / "pids").mkdir()

    def begin(script: str, *, probe=None, settle_s=0.2, timeout_s=10.0, args=(), cancel=None, **keys):
        path = tmp_path / "server"
        path.write_text(script)
        path.chmod(0o755)
        env = clean_env({"PIDS": str(tmp_path / "pids")})
        return boot(
            ["./server", *args],
            cwd=str(tmp_path),
            env=env,
            probe=probe,
            settle_s=settle_s,
            timeout_s=timeout_s,
            log=OpLog(tmp_path / "log"),
            starter=keepers,
            cancel=cancel or CancelToken(),
            **keys,
        )

    yield begin
    left = [int(p.name) for p in (tmp_path / "pids").iterdir() if alive(int(p.name))]
    assert left == []


def script(text: str) -> str:
    """sh that notes its own pid before anything else."""
    return f'#!/bin/sh\n: > "$PIDS/$$"\n{text}\n'


def python(text: str) -> str:
    return f"#!{sys.executable} -IS\nimport os, signal, socket, time\nopen(os.environ['PIDS'] + f'/{{os.getpid()}}', 'w')\n{text}\n"


def test_a_server_that_answers_and_ends_on_sigterm_is_green(start, tmp_path):
    verdict = start(SERVER, probe=HTTP)
    assert verdict.passed, verdict
    assert verdict.message.startswith("served, and ended")
    assert f"PORT={verdict.facts['port']}" in tail(tmp_path / "log")


def test_without_a_probe_it_is_green_when_it_is_alive_after_settling(start):
    begun = time.monotonic()
    assert start(script("sleep 60"), settle_s=0.3).passed
    assert 0.3 <= time.monotonic() - begun < AT_ONCE_S


def test_one_that_ends_at_once_is_red_with_its_status_and_what_it_said(start):
    verdict = start(script("echo no config; exit 3"), probe=HTTP)
    assert not verdict.passed
    assert verdict.message.startswith("`./server` ended by itself before it answered")
    assert "exit status 3" in verdict.message
    assert verdict.message.endswith("; it said: no config")
    assert verdict.facts["tail"] == "no config"


def test_one_that_ends_while_settling_is_red(start):
    verdict = start(script("exit 4"), settle_s=5)
    assert verdict.message.startswith("`./server` ended by itself after 5s it is to be alive: exit status 4")


def test_one_that_goes_to_the_background_is_red_and_told_to_stay(start):
    verdict = start(script("setsid sh -c ': > \"$PIDS/$$\"; exec sleep 60' &\nsleep 0.1; exit 0"), settle_s=5)
    assert not verdict.passed
    assert "it has to stay in the foreground" in verdict.message


def test_one_that_never_answers_is_red_after_the_timeout_with_the_last_look(start):
    verdict = start(script("sleep 60"), probe=HTTP, timeout_s=0.5)
    assert not verdict.passed
    assert verdict.message.startswith("`./server` never answered within 0.5s: http://127.0.0.1:")
    assert "connection refused" in verdict.message


def test_one_that_answers_on_ipv6_alone_is_red_where_the_probe_asks_for_ipv4_and_green_where_it_asks_there(
    start,
):
    only = SERVER.replace("socket.socket()", "socket.socket(socket.AF_INET6)").replace("127.0.0.1", "::1")
    assert only.count("::1") == only.count("AF_INET6") == 1
    verdict = start(only, probe=HTTP, timeout_s=1.0)
    assert "connection refused" in verdict.message
    assert start(only, probe=Probe(http="http://[::1]:{port}/health")).passed


def test_one_that_answers_badly_is_red_with_the_answer(start):
    with Answering() as other:
        other.status(503, "no database")
        verdict = start(script("sleep 60"), probe=Probe(http=other.url), timeout_s=0.3)
    assert "answered 503: no database" in verdict.message


def test_one_that_answers_and_then_dies_is_red(start):
    once = SERVER.replace("    peer.close()", "    peer.close(); print('boom'); raise SystemExit(9)")
    verdict = start(once, probe=HTTP)
    assert not verdict.passed
    assert verdict.message.startswith("`./server` ended by itself after its probe was answered")
    assert "exit status 9; it said: boom" in verdict.message


def test_one_that_finds_its_port_taken_is_red_though_another_answers_there(start):
    with Answering() as other:
        other.status(200)
        verdict = start(script("sleep 0.1; echo address in use; exit 1"), probe=HTTP, port=other.port)
    assert not verdict.passed
    assert verdict.message.endswith("it said: address in use")


def test_one_that_ignores_sigterm_is_killed_and_red(start, monkeypatch):
    monkeypatch.setattr("sando.work.boot.TERM_GRACE_S", 0.3)
    deaf = python("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)")
    verdict = start(deaf, settle_s=0.5)
    assert verdict.message == (
        "`./server` stayed up, but did not end within 0.3s of SIGTERM: killed; it said: deaf"
    )


def test_a_child_that_ignores_sigterm_makes_it_red_too(start, monkeypatch):
    monkeypatch.setattr("sando.work.boot.TERM_GRACE_S", 0.3)
    parent = python(
        "if os.fork() == 0:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    os.setsid()\n"
        "    open(os.environ['PIDS'] + f'/{os.getpid()}', 'w')\n"
        "time.sleep(60)"
    )
    assert "did not end within 0.3s" in start(parent, settle_s=0.5).message


def test_the_port_stands_in_arguments_environment_and_probe(start, tmp_path):
    verdict = start(script('echo "$PORT $1" > seen; sleep 60'), args=["--port={port}"])
    port = verdict.facts["port"]
    assert (tmp_path / "seen").read_text() == f"{port} --port={port}\n"


def test_every_kind_of_probe_takes_the_port():
    assert with_port(Probe(http="http://h:{port}/"), 81) == Probe(http="http://h:81/")
    assert with_port(Probe(tcp="h:{port}"), 81) == Probe(tcp="h:81")
    assert with_port(Probe(command="nc {port}"), 81) == Probe(command="nc 81")
    assert with_port(Probe(command=("nc", "{port}")), 81) == Probe(command=("nc", "81"))


def test_a_probe_command_runs_in_the_release_with_the_port(start, tmp_path):
    probe = Probe(command='test -e up && test "$PORT" = {port}')
    assert start(script("sleep 0.2; : > up; sleep 60"), probe=probe).passed


def test_a_probe_command_that_hangs_is_ended_and_red(start):
    probe = Probe(command=': > "$PIDS/$$"; exec sleep 60')
    verdict = start(script("sleep 60"), probe=probe, timeout_s=0.4)
    assert "the probe command did not end within" in verdict.message


def test_a_cancel_ends_it_and_leaves_nothing(start, tmp_path):
    cancel = CancelToken()
    failures = []

    def work():
        try:
            start(script("sleep 60"), probe=HTTP, timeout_s=60, cancel=cancel)
        except Cancelled as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: list((tmp_path / "pids").iterdir()))
    cancel.cancel()
    thread.join(15)
    assert len(failures) == 1


def test_one_that_cannot_be_started_could_not_run(start, tmp_path):
    with pytest.raises(WorkError, match="interpreter is not there") as caught:
        start("#!/no/such/interpreter\n")
    assert caught.value.errored
    assert caught.value.step == "boot_smoke"


def test_the_tail_has_only_what_this_boot_wrote(start, tmp_path):
    Path(tmp_path / "log").write_text("of the build\n")
    verdict = start(script("echo of another node >>log; echo mine; echo of another node >>log; exit 1"))
    assert (verdict.facts["tail"], verdict.message.endswith("; it said: mine")) == ("mine", True)


def test_free_ports_are_of_the_kernels_choice():
    assert len({free_port() for _ in range(20)}) > 1
