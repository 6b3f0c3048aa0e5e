"""A way to a node that breaks at every point: each wait has an end and a sentence, nothing runs twice, nothing is left."""

import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import paramiko.packet
import pytest

from sando.model.errors import Cancelled, WorkError
from sando.model.target import target_of
from sando.model.topology import NodeSpec, Probe
from sando.work.cancel import CancelToken
from sando.work.hosts import Parcels, connect
from sando.work.hosts.ssh import calls as calls_module
from sando.work.hosts.ssh import commands as commands_module
from sando.work.hosts.ssh import connection as connection_module
from sando.work.hosts.ssh import host as host_module
from sando.work.hosts.ssh import line as line_module
from sando.work.hosts.ssh import shell as shell_module
from sando.work.hosts.ssh.calls import Calls
from sando.work.hosts.ssh.keys import Keys
from sando.work.hosts.ssh.line import Line
from sando.work.hosts.ssh.trust import Trust
from sando.work.log import OpLog
from sando.work.probe import look
from tests.ports import free_port
from tests.work.lines import FREE, Background, failing, held, line_to, refused, run, says
from tests.work.nodes import AT_ONCE_S, Answering
from tests.work.sshds import farm
from tests.work.wild import until
from tests.work.wire import Wire


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with farm(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture(scope="module")
def node(sshd):
    return sshd("127.0.0.6")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / ".sando" / "lists").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def wire(node):
    with Wire(node.host, node.port) as made:
        yield made


@pytest.fixture
def line(node, wire, root):
    """By way of the wire."""
    made = line_to(node, root, port=wire.port)
    yield made
    wire.heal()
    made.close()


# -- connecting ---------------------------------------------------------------------------------------------


class Moments(Keys):
    """Keys that do something right before and right after they log in."""

    def __init__(self, node, before=lambda: None, after=lambda: None):
        super().__init__(target_of(node.target), str(node.identity))
        self._before, self._after = before, after

    def log_in(self, transport):
        self._before()
        super().log_in(transport)
        self._after()


@contextmanager
def no_room(address):
    """A port whose queue is full: the kernel answers no more of who knocks."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((address, 0), backlog=0))
        while True:
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.05)
            try:
                sock.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]


class Place:
    """A way that black-holes at one point: `line` leads there, `stuck` says that it has come so far."""

    def __init__(self, stack: ExitStack, node, point: str, monkeypatch):
        self.node = node
        self.wire = stack.enter_context(Wire(node.host, node.port))
        self._port = self.wire.port
        keys = Keys(target_of(node.target), str(node.identity))
        match point:
            case "name":
                release = threading.Event()
                stack.callback(release.set)
                monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: release.wait(20) and [])
            case "connect":
                self._port = stack.enter_context(no_room(node.host))
            case "banner":
                self.wire.black_hole()
            case "kex":
                self.wire.black_hole_after(200)
            case "auth":
                keys = Moments(node, before=self.wire.black_hole)
            case "shell":
                keys = Moments(node, after=self.wire.black_hole)
        known = Trust(target_of(node.through(self._port)), str(node.known_hosts))
        self.line = Line(target_of(f"{node.user}@{node.host}:{self._port}"), "/nowhere", keys, known)
        self.accepted = (lambda: True) if point in ("name", "connect") else (lambda: self.wire.accepted > 0)


POINTS = {
    "name": "its name is not resolved within {s}; look at this machine's resolver, or name its address",
    "connect": "no answer within {s}; is it up, and may this machine reach its port {port}?",
    "banner": "port {port} takes connections, and no sshd speaks there within {s}; is it the right port, or is it overloaded?",
    "kex": "sshd fell silent while keys were agreed on, after {s} in all; is it overloaded, or does the link lose large packets (MTU)?",
    "auth": "no answer to the login within {s}; look at what sshd waits for there",
    "shell": "logged in, and no shell answers within {s}; look at what the rc files of {user} do there",
}


@pytest.mark.parametrize("point", POINTS)
def test_a_black_hole_ends_the_attempt_in_time_and_says_how_far_it_came(node, monkeypatch, point):
    # It has to come as far as the hole in that time, on a busy machine too.
    seconds = {"kex": 1.0, "auth": 3.0, "shell": 3.0}.get(point, 0.3)
    monkeypatch.setattr(line_module, "CONNECT_S", seconds)
    with ExitStack() as stack:
        place = Place(stack, node, point, monkeypatch)
        line = place.line
        begun = time.monotonic()
        if point == "name":  # whose thread is the resolver's, and ends with it
            with pytest.raises(WorkError) as caught:
                line.open(FREE)
            said = caught.value.detail
        else:
            said = refused(line, mend=place.wire.cut)
        assert time.monotonic() - begun < seconds + AT_ONCE_S
        sentence = POINTS[point].format(s=f"{seconds:g}s", port=line.target.port, user=node.user)
        assert said.startswith(f"{line.target}: {sentence}")


@pytest.mark.parametrize("point", POINTS)
def test_a_cancel_ends_the_attempt_at_once_wherever_it_is(node, monkeypatch, point):
    with ExitStack() as stack:
        place = Place(stack, node, point, monkeypatch)
        before = held()
        token = CancelToken()
        with Background(lambda: place.line.open(token)) as job:
            until(place.accepted)
            begun = time.monotonic()
            token.cancel()
        assert isinstance(job.error, Cancelled)
        assert time.monotonic() - begun < AT_ONCE_S
        if point != "name":
            place.wire.cut()
            until(lambda: held() <= before)


def test_a_refused_connection_names_the_port(node):
    port = free_port(node.host)
    said = refused(line_to(node, port=port))
    assert said.endswith(f": connection refused; does sshd run there, on port {port}?")


def test_a_name_that_nobody_knows_is_told(node, monkeypatch):
    def unknown(*_args, **_keys):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = refused(line_to(node))
    assert said.endswith(
        "its name cannot be resolved (Name or service not known); correct ssh_target, or this machine's resolver"
    )


def test_what_is_no_sshd_is_told(node, monkeypatch):
    monkeypatch.setattr(line_module, "AGAIN_S", ())
    with Answering(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200) as server:
        target = target_of(f"root@127.0.0.1:{server.port}")
        said = refused(
            Line(target, "/", Keys(target, str(node.identity)), Trust(target, str(node.known_hosts)))
        )
    assert "it hung up before it said anything" in said or "Indecipherable protocol version" in said


def test_addresses_that_do_not_answer_leave_time_for_the_next_one(node, root, monkeypatch):
    """A name with an IPv6 address that goes nowhere is common."""
    monkeypatch.setattr(line_module, "CONNECT_S", 2.0)
    known = node.known_hosts
    with no_room(node.host) as deaf:
        nowhere, there = (
            (socket.AF_INET, 1, 6, "", (node.host, deaf)),
            (socket.AF_INET, 1, 6, "", (node.host, node.port)),
        )
        refuses = (socket.AF_INET, 1, 6, "", (node.host, free_port(node.host)))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [refuses, nowhere, there])
        target = target_of(node.target)
        assert (
            says(Line(target, str(root), Keys(target, str(node.identity)), Trust(target, str(known))))
            == "hello"
        )


def test_what_takes_a_connection_and_hangs_up_may_be_an_sshd_with_too_many_guests(node, monkeypatch):
    monkeypatch.setattr(line_module, "AGAIN_S", (0.01,))
    with Answering(b"") as server:
        target = target_of(f"root@127.0.0.1:{server.port}")
        trust = Trust(target, str(node.known_hosts))
        said = refused(Line(target, "/", Keys(target, str(node.identity)), trust))
        assert len(server.heard) == 2
    assert "it hung up before it said anything (the connection was closed); is it sshd, " in said
    assert "too many logins at once (MaxStartups), or shut this machine out?" in said


@pytest.mark.parametrize("point", ["kex", "auth", "shell"])
def test_a_connection_that_is_cut_while_it_is_opened_says_how_far_it_came(node, monkeypatch, point):
    monkeypatch.setattr(line_module, "AGAIN_S", ())
    with ExitStack() as stack:
        place = Place(stack, node, "", monkeypatch)
        match point:
            case "kex":
                place.wire.cut_after(200)
            case "auth":
                place.line._keys = Moments(node, before=place.wire.cut)
            case "shell":
                place.line._keys = Moments(node, after=place.wire.cut)
        said = refused(place.line)
    words = {
        "kex": "while keys were agreed on",
        "auth": "the connection was lost while logging in",
        "shell": "logged in, and the connection was lost before a shell answered",
    }
    assert words[point] in said
    assert "look at sshd's log" in said


def test_fifty_attempts_that_fail_leave_no_thread_and_no_socket(node, wire, monkeypatch, tmp_path):
    monkeypatch.setattr(line_module, "CONNECT_S", 0.05)
    (tmp_path / "empty").touch()
    deaf = line_to(node, port=free_port(node.host))
    strange = line_to(node, known_hosts=tmp_path / "empty")
    wire.black_hole()
    silent = line_to(node, port=wire.port)
    before = held()
    for turn in range(50):
        token = CancelToken()
        if turn % 10 == 3:
            threading.Timer(0.02, token.cancel).start()
        with pytest.raises((WorkError, Cancelled)):
            (deaf, strange, strange, silent)[turn % 4 if turn % 10 else 3].open(token)
    wire.cut()
    until(lambda: held() <= before)


def test_closing_a_line_breaks_off_who_connects_just_now(node, wire):
    wire.black_hole()
    line = line_to(node, port=wire.port)
    with Background(lambda: line.open(FREE)) as job:
        until(lambda: wire.accepted)
        begun = time.monotonic()
        line.close()
    assert time.monotonic() - begun < AT_ONCE_S
    assert isinstance(job.error, WorkError)


def test_who_waits_for_another_ones_attempt_can_be_cancelled(node, wire):
    wire.black_hole()
    line = line_to(node, port=wire.port)
    token = CancelToken()
    with Background(lambda: line.open(FREE)) as first:
        until(lambda: wire.accepted)
        with Background(lambda: line.open(token)) as second:
            token.cancel()
        assert isinstance(second.error, Cancelled)
        line.close()
    assert isinstance(first.error, WorkError)


def test_two_who_come_at_once_share_a_connection(line, wire):
    with Background(lambda: run(line, "echo one")) as one, Background(lambda: run(line, "echo two")) as two:
        pass
    assert (one.result[1], two.result[1], wire.accepted) == ("one\n", "two\n", 1)


# -- kept warm ----------------------------------------------------------------------------------------------


def ask(line, *call, **keys):
    return Calls(line, FREE).ask(*call, **keys)


def test_the_second_call_opens_nothing(line, wire):
    for _ in range(3):
        ask(line, "true")
        run(line, "true")
    assert wire.accepted == 1


@pytest.mark.parametrize("way", ["sessions", "restart", "reboot", "cut"])
@pytest.mark.parametrize("stale", [True, False], ids=["long ago", "just now"])
def test_a_connection_that_was_lost_between_two_calls_is_opened_anew_without_a_word(
    node, line, wire, way, stale, monkeypatch
):
    run(line, "true")
    if stale:
        monkeypatch.setattr(calls_module, "FRESH_S", 0.0)
    match way:
        case "sessions":
            node.kill_sessions()
        case "restart":
            node.stop()
            node.start()
        case "reboot":
            node.reboot()
        case "cut":
            wire.cut()
    until(lambda: not line.is_open)
    assert ask(line, "echo", "there").said == "there"
    assert run(line, "echo again")[1] == "again\n"
    assert wire.accepted == 2


def test_a_command_after_a_silent_loss_runs_on_a_new_connection(line, wire, monkeypatch):
    """A firewall has forgotten the idle connection: nobody says so."""
    monkeypatch.setattr(calls_module, "FRESH_S", 0.0)
    monkeypatch.setattr(calls_module, "PING_S", 0.3)
    run(line, "true")
    wire.black_hole()
    with Background(lambda: run(line, "echo there")) as job:
        until(lambda: wire.accepted == 2)
        wire.heal()
    assert job.result[1] == "there\n"


def test_a_shell_that_was_killed_on_the_node_is_replaced(node, line, wire):
    ask(line, "true")
    shells = [pid for pid in node.left() if Path(f"/proc/{pid}/cmdline").read_bytes() == b"/bin/sh\0"]
    for pid in shells:
        os.kill(pid, signal.SIGKILL)
    assert ask(line, "echo", "there").said == "there"
    assert run(line, "echo again")[1] == "again\n"
    assert len(shells) == wire.accepted == 1


def test_an_idle_line_is_watched_by_the_kernel_and_wakes_no_thread(line):
    transport = line.open(FREE).transport
    sock = transport.sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    tcp = [
        socket.TCP_KEEPIDLE,
        socket.TCP_KEEPINTVL,
        socket.TCP_KEEPCNT,
        socket.TCP_USER_TIMEOUT,
        socket.TCP_NODELAY,
    ]
    assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in tcp] == [15, 5, 3, 30_000, 1]
    assert sock.gettimeout() == connection_module.IDLE_POLL_S == 5.0
    tasks = [thread.native_id for thread in threading.enumerate() if thread is not threading.current_thread()]
    assert transport.native_id in tasks
    until(lambda: _switches(transport.native_id) == (time.sleep(0.05), _switches(transport.native_id))[1])
    before = _switches(transport.native_id)
    time.sleep(0.6)  # nothing is waited for: that nothing happens is what is looked for
    assert _switches(transport.native_id) - before <= 1


def _switches(task: int) -> int:
    """How often a thread has woken."""
    text = Path(f"/proc/self/task/{task}/status").read_text()
    return int(text.partition("voluntary_ctxt_switches:")[2].split()[0])


# -- lost in the middle -------------------------------------------------------------------------------------


def lines_in(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_call_that_may_be_repeated_is_repeated_once(line, wire, tmp_path):
    count, go = tmp_path / "count", tmp_path / "go"
    script = f"echo x >> {count}; until [ -e {go} ]; do sleep 0.02; done; echo done"
    with Background(lambda: ask(line, "sh", "-c", script)) as job:
        until(lambda: lines_in(count) == 1)
        wire.cut()
        until(lambda: lines_in(count) == 2)
        go.touch()
    assert job.result.said == "done"
    assert (lines_in(count), wire.accepted) == (2, 2)


def test_a_call_that_is_lost_twice_says_so(line, wire, tmp_path):
    count, go = tmp_path / "count", tmp_path / "go"
    script = f"echo x >> {count}; until [ -e {go} ]; do sleep 0.02; done; echo done"
    with Background(lambda: ask(line, "sh", "-c", script)) as job:
        for turn in (1, 2):
            until(lambda turn=turn: lines_in(count) == turn)
            wire.cut()
    go.touch()
    assert isinstance(job.error, WorkError)
    assert job.error.errored
    assert job.error.detail.startswith(f"{line.target}: the connection was lost during sh")
    assert lines_in(count) == 2


@pytest.mark.parametrize("way", ["cut", "sessions"])
def test_a_command_of_the_team_is_never_run_twice_and_what_is_known_of_it_is_told(
    node, line, wire, tmp_path, way
):
    count, go = tmp_path / "count", tmp_path / "go"
    script = f"echo x >> {count}; echo half way; until [ -e {go} ]; do sleep 0.02; done; echo end >> {count}"
    log = OpLog(tmp_path / "log")
    with Background(lambda: run(line, script, timeout=40, log=log)) as job:
        until(lambda: lines_in(count) == 1)
        wire.cut() if way == "cut" else node.kill_sessions()
    assert isinstance(job.error, WorkError)
    assert job.error.errored
    assert job.error.detail.startswith(f"{line.target}: the connection was lost during restart")
    assert job.error.detail.endswith("it may still run there: the node ends it within 1m 10s of its start")
    go.touch()
    until(lambda: lines_in(count) == 2)
    assert run(line, f"cat {count}")[1] == "x\nend\n"


def test_a_command_that_is_cut_off_and_cancelled_is_ended_through_another_connection(
    node, line, wire, tmp_path
):
    remote = commands_module.Remote(
        line, "sleep 100 & sleep 100", cwd=str(tmp_path), env={}, log=None, cancel=FREE, step="x", limit=100
    )
    assert remote.wait(0.1) is None
    assert len(_sleeping(node, tmp_path)) >= 2
    wire.cut()
    assert remote.end(0.4).ended
    until(lambda: _sleeping(node, tmp_path) == [])


def _sleeping(node, folder: Path) -> list[int]:
    """Commands of the node that stand in a folder."""
    found = []
    for pid in node.left():
        try:
            if (
                Path(f"/proc/{pid}/cwd").readlink() == folder
                and b"sleep\x00100" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ):
                found.append(pid)
        except OSError:
            continue
    return found


# -- black holes --------------------------------------------------------------------------------------------


def test_a_call_on_a_warm_line_that_black_holed_ends_by_its_deadline_and_the_next_one_opens_another(
    line, wire
):
    ask(line, "true")
    wire.black_hole()
    begun = time.monotonic()
    with pytest.raises(WorkError) as caught:
        ask(line, "echo", seconds=0.6)
    assert 0.6 <= time.monotonic() - begun < 0.6 + AT_ONCE_S
    assert caught.value.errored
    assert caught.value.detail == f"{line.target}: no answer to echo within 1s; the connection was closed"
    wire.heal()
    assert ask(line, "echo", "there").said == "there"
    assert wire.accepted == 2


def test_a_call_on_a_black_holed_line_is_cancelled_at_once(line, wire):
    ask(line, "true")
    wire.black_hole()
    token = CancelToken()
    with Background(lambda: Calls(line, token).ask("echo")) as job:
        begun = time.monotonic()
        token.cancel()
    assert isinstance(job.error, Cancelled)
    assert time.monotonic() - begun < AT_ONCE_S


def test_a_frozen_sshd_is_no_different(sshd, root):
    node = sshd("127.0.0.6")
    line = line_to(node, root)
    ask(line, "true")
    node.freeze()
    with pytest.raises(WorkError, match="no answer to echo within 0s"):
        ask(line, "echo", seconds=0.3)
    node.thaw()
    assert says(line) == "hello"


def test_a_link_that_black_holes_under_a_command_is_noticed_long_before_its_deadline(
    line, wire, monkeypatch, tmp_path
):
    monkeypatch.setattr(commands_module, "PEEK_S", 0.1)
    monkeypatch.setattr(commands_module, "ANSWER_S", 0.5)
    monkeypatch.setattr(line_module, "CONNECT_S", 0.5)
    began = tmp_path / "began"
    with Background(lambda: run(line, f"touch {began}; sleep 100", timeout=1000)) as job:
        until(began.exists)
        wire.black_hole()
        begun = time.monotonic()
    assert time.monotonic() - begun < 2 * AT_ONCE_S
    assert isinstance(job.error, WorkError)
    assert "no answer to " in job.error.detail
    assert "it may still run there" in job.error.detail


def test_a_line_too_long_for_a_black_hole_ends_by_its_deadline(line, wire, monkeypatch):
    ask(line, "true")
    wire.black_hole()
    with pytest.raises(WorkError, match=r"no answer to|was lost during"):
        ask(line, "echo", "x" * 12_000_000, seconds=0.4)


def test_a_call_that_floods_is_cut_off_and_costs_no_connection(node, line, wire):
    ask(line, "true")
    with pytest.raises(WorkError) as caught:
        ask(line, "sh", "-c", "exec yes")
    assert caught.value.errored
    assert caught.value.detail.startswith(f"{line.target}: the connection was lost during sh (")
    assert caught.value.detail.endswith("y; and more than 16 MiB in all)")
    assert ask(line, "echo", "there").said == "there"
    assert wire.accepted == 1
    until(lambda: not [pid for pid in node.left() if Path(f"/proc/{pid}/comm").read_text() == "yes\n"])


# -- one session, and no other connection -------------------------------------------------------------------


@pytest.fixture
def narrow(sshd, root, monkeypatch):
    """A line to a node that takes one session, over a wire that lets nobody else in."""
    monkeypatch.setattr(commands_module, "PEEK_S", 0.05)
    node = sshd("127.0.0.6", options=("MaxSessions 1",))
    with Wire(node.host, node.port) as wire, closing(line_to(node, root, port=wire.port)) as line:
        ask(line, "true")
        wire.refuse()
        yield line


def test_a_command_that_cannot_be_looked_at_runs_to_its_end_and_says_why_it_was_silent(narrow, tmp_path):
    log = OpLog(tmp_path / "log")
    ended, text = run(narrow, "echo one; sleep 0.3; echo two", log=log)
    assert (ended.ok, text) == (True, "one\ntwo\n")
    told = log.path.read_text()
    assert told.count("sando: its output is told at its end: ") == 1
    assert told.endswith("\none\ntwo\n")


def test_a_command_that_cannot_be_ended_says_so_and_until_when_it_may_run(narrow, tmp_path, monkeypatch):
    monkeypatch.setattr(commands_module, "_SLACK_S", 0.5)
    error = failing(narrow, "sleep 100", tmp_path, timeout=0.3, log=OpLog(tmp_path / "log"))
    assert error.errored
    assert error.detail.startswith("restart timed out after 0s, and could not be ended: ")
    assert "connection refused" in error.detail
    assert error.detail.endswith("; it may still run there: the node ends it within 1s of its start")


# -- uploads ------------------------------------------------------------------------------------------------


TAKES = """[ -d "${2%/*}" ] || { echo "no such folder: ${2%/*}" >&2; exit 3; }
printf '@ready %s\\n' "$1"
head -c "$1" >"$2"
"""


def send(line, where, size, cancel=FREE, after_s=20.0):
    """As an upload does it: the call says when it is ready, then reads that many bytes."""
    data = memoryview(bytes(size))
    return Calls(line, cancel).feed("sh", "-c", TAKES, "upload", size, where, data=data, after_s=after_s)


def test_an_upload_that_black_holes_ends_soon_after_its_last_progress(line, wire, monkeypatch, root):
    monkeypatch.setattr(calls_module, "PROGRESS_S", 0.6)
    ask(line, "true")
    wire.black_hole_after(3_000_000)
    begun = time.monotonic()
    with pytest.raises(WorkError) as caught:
        send(line, root / "big", 20_000_000)
    assert time.monotonic() - begun < 2 * AT_ONCE_S
    assert caught.value.errored
    assert caught.value.detail.startswith(f"{line.target}: sh has not moved for 1s (")
    assert caught.value.detail.endswith(" of 20000000 bytes went out); the connection was closed")
    wire.heal()
    assert send(line, root / "big", 1000).ok


def test_an_upload_that_moves_slowly_is_not_stuck(line, wire, monkeypatch, root):
    monkeypatch.setattr(calls_module, "PROGRESS_S", 0.5)
    ask(line, "true")
    wire.slow(8_000_000)
    begun = time.monotonic()
    assert send(line, root / "big", 6_000_000).ok
    assert time.monotonic() - begun > 0.6
    assert (root / "big").stat().st_size == 6_000_000


def test_an_upload_that_is_cut_says_how_far_it_came(line, wire, root):
    ask(line, "true")
    wire.cut_after(3_000_000)
    with pytest.raises(WorkError) as caught:
        send(line, root / "big", 20_000_000)
    assert "the connection was lost during sh" in caught.value.detail
    assert " of 20000000 bytes went out)" in caught.value.detail
    assert send(line, root / "big", 1000).ok
    assert wire.accepted == 2


def test_an_upload_is_cancelled_at_once_and_its_line_is_of_use_afterwards(line, wire, root):
    ask(line, "true")
    wire.black_hole_after(3_000_000)
    token = CancelToken()
    with Background(lambda: send(line, root / "big", 20_000_000, token)) as job:
        until(lambda: wire.sent >= 3_000_000)
        begun = time.monotonic()
        token.cancel()
    assert isinstance(job.error, Cancelled)
    assert time.monotonic() - begun < AT_ONCE_S
    wire.heal()
    assert send(line, root / "big", 1000).ok


def test_an_upload_that_the_node_refuses_before_it_begins_says_why_and_costs_no_connection(line, wire, root):
    with pytest.raises(WorkError) as caught:
        send(line, root / "none" / "big", 1_000_000)
    assert (caught.value.step, caught.value.detail) == ("node", f"no such folder: {root}/none")
    assert send(line, root / "big", 1000).ok
    assert wire.accepted == 1


def test_an_upload_that_the_node_cannot_keep_says_why_when_all_of_it_has_come(line, wire, root):
    (root / "big").mkdir()
    with pytest.raises(WorkError) as caught:
        Calls(line, FREE).feed(
            "sh", "-c", f"echo @ready 1; head -c 3000000 | {{ cat >{root}/big || {{ cat >/dev/null; exit 1; }}; }}",
            data=memoryview(bytes(3_000_000)), after_s=5.0,
        )  # fmt: skip
    assert "irectory" in caught.value.detail
    assert send(line, root / "small", 1000).ok


def test_what_the_node_does_with_an_upload_has_a_time_of_its_own(line, monkeypatch):
    monkeypatch.setattr(calls_module, "PROGRESS_S", 0.2)
    monkeypatch.setattr(shell_module, "LOOK_S", 0.1)
    data = memoryview(bytes(1000))

    def unpack(seconds, after_s):
        script = f"echo @ready 1; head -c 1000 >/dev/null; sleep {seconds}"
        return Calls(line, FREE).feed("sh", "-c", script, data=data, after_s=after_s)

    assert unpack(0.5, 10.0).ok
    with pytest.raises(WorkError) as caught:
        unpack(20, 0.4)
    assert caught.value.detail.startswith(f"{line.target}: no answer to sh within 0s")
    assert caught.value.detail.endswith("(1000 of 1000 bytes went out)")


def test_keys_that_are_agreed_on_again_in_the_middle_are_no_trouble(sshd, root, monkeypatch, tmp_path):
    monkeypatch.setattr(paramiko.packet.Packetizer, "REKEY_BYTES", 2_000_000)
    node = sshd("127.0.0.6", options=("RekeyLimit 1M", "LogLevel DEBUG1"))
    line = line_to(node, root)
    with closing(line):
        assert send(line, root / "big", 6_000_000).ok
        assert run(line, "head -c 4000000 /dev/zero | tr '\\0' x", log=OpLog(tmp_path / "log"))[0].ok
        assert ask(line, "echo", "there").said == "there"
    assert node.log.count("rekey") > 3


# -- probes and boots ---------------------------------------------------------------------------------------


@pytest.fixture
def host(node, wire, root):
    keys = {"identity_file": str(node.identity), "known_hosts": str(node.known_hosts)}
    link = connect(NodeSpec("n", node.through(wire.port), str(root), **keys), Parcels())
    yield link.host(FREE)
    wire.heal()
    link.close()


def never(*_):
    raise AssertionError


def test_a_probe_over_a_connection_that_was_lost_opens_it_anew(host, wire):
    with Answering() as server:
        server.status(200)
        for _ in range(2):
            assert look(Probe(http=server.url), host.open_tcp, never, 5)[0]
            wire.cut()
    assert wire.accepted == 2


def test_a_probe_over_a_black_hole_is_red_in_time_and_the_next_call_knows(host, wire, monkeypatch):
    monkeypatch.setattr(calls_module, "CALL_S", 0.5)
    with Answering() as server:
        server.status(200)
        assert look(Probe(http=server.url), host.open_tcp, never, 5)[0]
        wire.black_hole()
        begun = time.monotonic()
        green, said = look(Probe(http=server.url), host.open_tcp, never, 0.5)
        assert (green, said) == (False, f"{server.url}: no answer within 0.5s")
        assert time.monotonic() - begun < AT_ONCE_S


def test_a_service_that_black_holes_is_red_in_time_and_costs_no_connection(host, wire):
    with no_room("127.0.0.1") as port:
        for _ in range(2):
            green, said = look(Probe(tcp=f"127.0.0.1:{port}"), host.open_tcp, never, 0.2)
            assert (green, said) == (False, f"tcp 127.0.0.1:{port}: no answer within 0.2s")
    assert wire.accepted == 1


def test_a_node_that_cannot_be_reached_is_no_red_probe(host, wire):
    wire.refuse()
    with pytest.raises(WorkError, match="connection refused"):
        look(Probe(tcp="127.0.0.1:80"), host.open_tcp, never, 5)


def test_a_boot_whose_connection_is_lost_could_not_run_and_the_node_ends_it(
    node, host, wire, root, tmp_path, monkeypatch
):
    monkeypatch.setattr(host_module, "BOOT_SLACK_S", 0.0)

    def boot():
        return host.boot(
            ("sh", "-c", "trap '' TERM; sleep 100 & sleep 100; sleep 100"), cwd=str(root), env={}, probe=None, settle_s=1.0,
            timeout_s=1.0, log=OpLog(tmp_path / "log"), keepers=None, cancel=FREE,
        )  # fmt: skip

    with Background(boot) as job:
        until(lambda: len(_sleeping(node, root)) == 2)
        wire.refuse()
        wire.cut()
    assert isinstance(job.error, WorkError)
    assert job.error.errored
    until(lambda: _sleeping(node, root) == [], 40)
