"""Threads, processes and descriptors that are not to be had: what needs one fails and says so, and sandod lives on."""

import contextlib
import itertools
import json
import os
import resource
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.system.sandod import ENDED, until
from tests.system.workspace import tier

SOURCE = Path(__file__).with_name("scarce.c")


@pytest.fixture(scope="session")
def scarce(tmp_path_factory):
    """The library that stands before libc's."""
    library = tmp_path_factory.mktemp("scarce") / "scarce.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


@pytest.fixture
def starved(sandod, scarce):
    """A sandod on 1.0 with a green 1.1; `touch` of the file takes threads away."""
    none = sandod.root / "none"
    sandod.env |= {"LD_PRELOAD": str(scarce), "SCARCE_THREAD": str(none)}
    sandod.configure(tier("a")).start()
    sandod.bring("1.0", "a")
    sandod.green("1.1")
    return none


def test_without_a_thread_to_be_had_operations_are_errored_and_all_goes_on_when_there_are_some_again(
    sandod, starved
):
    sandod.commit("1.2", build=sandod.stop_at("build"))
    sandod.clone.push("main")
    sandod.reached("build")
    starved.touch()
    sandod.go("build")
    built = sandod.ended(sandod.state()["build"]["operation"])
    assert built["status"] == "errored", built
    assert "can't start new thread" in built["error"]
    refused = sandod.post("/promote/a")
    assert refused.code == (503, "store_unavailable")
    assert "1.1 could not be looked at" in refused.body["detail"]
    assert sandod.link("a-1") == "1.0"
    assert sandod.post("/rebuild").status == 409
    assert sandod.get("/state").status == 200
    starved.unlink()
    assert sandod.post("/promote/a?wait=60").status == 200
    assert sandod.post("/rebuild?wait=60").status == 200
    assert sandod.link("a-1") == "1.1"


def test_signals_that_find_no_thread_are_told_and_the_server_goes_on(sandod, starved):
    starved.touch()
    sandod.signal(signal.SIGHUP)
    until(lambda: "send SIGHUP again" in sandod.log.read_text())
    sandod.signal(signal.SIGUSR1)
    until(lambda: "all stacks, for SIGUSR1" in sandod.log.read_text())
    assert sandod.get("/state").status == 200
    starved.unlink()
    sandod.signal(signal.SIGHUP)
    sandod.wait_event("ConfigReloaded")
    starved.touch()
    sandod.signal(signal.SIGTERM)
    assert sandod.wait() == 0
    assert "stopping at once" in sandod.log.read_text()


def test_without_a_process_to_be_had_a_build_is_errored_and_says_so(sandod, scarce):
    """Only where processes begin: threads are there."""
    none = sandod.root / "none"
    sandod.env |= {"LD_PRELOAD": str(scarce), "SCARCE_FORK": str(none)}
    sandod.configure(tier("a")).start()
    none.touch()
    sha, _ = sandod.push("1.0")
    failed = sandod.wait_event("BuildFailed", sha=sha)
    said = sandod.operation(failed["operation"])
    assert said["status"] == "errored"
    assert "Resource temporarily unavailable" in said["error"]
    none.unlink()
    assert sandod.post("/rebuild?wait=60").status == 200


# -- descriptors ------------------------------------------------------------------------------------------------


UPGRADE = (
    b"GET /events?since=0 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FULL = "cannot take a connection"


@pytest.fixture
def scant(sandod):
    """`scant()` leaves sandod no descriptor beyond those that it has: the next one gets the lowest free number."""

    def limit(more=0):
        _, hard = resource.prlimit(sandod.pid, resource.RLIMIT_NOFILE)
        taken = {int(f.name) for f in Path("/proc", str(sandod.pid), "fd").iterdir()}
        free = next(n for n in itertools.count() if n not in taken)
        resource.prlimit(sandod.pid, resource.RLIMIT_NOFILE, (free + more, hard))

    return limit


def busy(pid):
    """Seconds of CPU that the process has used."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_those_who_call_wait_without_a_busy_loop_and_come_in_when_there_are_some_again(
    sandod, scant
):
    sandod.configure(tier("a")).start()
    sandod.bring("1.0", "a")
    with contextlib.ExitStack() as calls:

        def listen():
            """Whoever listens keeps his descriptor; nobody takes it back."""
            calls.enter_context(socket.create_connection(("127.0.0.1", sandod.port))).sendall(UPGRADE)

        for _ in range(3):
            listen()
        until(lambda: "sando_event_subscribers 3.0" in sandod.get("/metrics").body)

        def refused():
            scant()  # again: what was open for a moment only is free by now
            listen()
            return FULL in sandod.log.read_text()

        until(refused)
        before, began = busy(sandod.pid), time.monotonic()
        until(lambda: sandod.log.read_text().count(FULL) > 4)
        assert busy(sandod.pid) - before < (time.monotonic() - began) / 2
    scant(1000)
    until(sandod._answers, what="for those who call to come in again")
    sandod.bring("1.1", "a")
    assert sandod.process.poll() is None


def test_a_build_without_descriptors_is_errored_and_says_what_it_lacked(sandod, scant):
    sandod.configure(tier("a")).start()
    sandod.bring("1.0", "a")
    sandod.commit("1.1", build=sandod.stop_at("build"))
    sandod.clone.push("main")
    sandod.reached("build")
    link = HTTPConnection("127.0.0.1", sandod.port, timeout=60)

    def asked():
        link.request("GET", f"/operations/{number}")
        return json.loads(link.getresponse().read())

    number = sandod.state()["build"]["operation"]
    assert asked()["status"] == "running"
    scant()
    sandod.go("build")
    said = until(lambda: (o := asked())["status"] in ENDED and o)
    assert said["status"] == "errored", said
    assert "Too many open files" in said["error"], said
    link.request("POST", "/promote/a", "{}", {"Content-Type": "application/json"})
    refused = json.loads(link.getresponse().read())
    link.close()
    assert refused["code"] in {"store_unavailable", "already_current"}, refused
    scant(1000)
    assert sandod.post("/rebuild?wait=60").status == 200
    assert sandod.post("/promote/a?wait=60").status == 200
