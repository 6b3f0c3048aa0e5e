"""What runs on a node through its shell: any login shell, any command, any value, and nothing that is left behind."""

import os
import signal
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sando.model.errors import Cancelled, WorkError
from sando.model.names import visible
from sando.model.topology import NodeSpec, Probe
from sando.work import boot as boot_module
from sando.work.cancel import CancelToken
from sando.work.hosts import Parcels, connect
from sando.work.hosts.script import words
from sando.work.hosts.ssh import commands as commands_module
from sando.work.hosts.ssh import line as line_module
from sando.work.hosts.ssh.commands import Remote
from sando.work.hosts.ssh.reply import parse
from sando.work.log import OpLog
from sando.work.probe import look
from sando.work.process import Exit
from tests.work.lines import FREE, Background, failing, held, line_to, refused, run, says
from tests.work.nodes import AT_ONCE_S, Answering
from tests.work.sshds import (
    CLOSED,
    ENDLESS,
    NOISY,
    SHELLS,
    Sshd,
    farm,
    on_path,
    small_disk,
    tools,
)
from tests.work.wild import until


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with farm(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture(scope="module")
def node(sshd):
    return sshd("127.0.0.5")


@pytest.fixture(scope="module")
def warm(node, tmp_path_factory):
    """A line that stays open over all tests, as in real life, and its root."""
    root = tmp_path_factory.mktemp("root")
    (root / ".sando").mkdir()
    line = line_to(node, root)
    yield line
    line.close()


@pytest.fixture
def log(tmp_path):
    return OpLog(tmp_path / "op.log")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / ".sando").mkdir(parents=True)
    return tmp_path / "root"


# -- login shells -------------------------------------------------------------------------------------------

PROGRAMS = {
    "bash": "exec bash",
    "bash --posix": "exec bash --posix",
    "busybox sh": "exec busybox sh",
    "dash": "exec dash",
}


@pytest.mark.parametrize("shell", [*SHELLS.values(), *NOISY.values()], ids=[*SHELLS, *NOISY])
def test_a_command_runs_under_any_login_shell_and_among_any_noise(sshd, root, log, shell):
    line = line_to(sshd("127.0.0.5", shell=shell), root)
    with closing(line):
        assert run(line, "echo one; echo two >&2; exit 3", log=log) == (Exit(3, None), "one\ntwo\n")
    assert log.path.read_text() == "one\ntwo\n"


@pytest.mark.parametrize("shell", PROGRAMS.values(), ids=PROGRAMS)
def test_a_command_runs_under_whatever_bin_sh_is(sshd, root, shell):
    line = line_to(sshd("127.0.0.5", shell=shell), root)
    with closing(line):
        env = {"WHAT": 'it\'s $(id) \\ "x" ü\n', "B": ""}
        ended, text = run(line, ("sh", "-c", 'printf %s "$WHAT$B"; kill -9 $$'), env=env)
        assert (ended, text) == (Exit(None, 9), env["WHAT"])
        assert run(line, "true")[0].ok


@pytest.mark.parametrize(
    "name, said",
    [
        ("nologin", "it said: This account is currently not available."),
        ("false", "it said: nothing"),
        ("expired", "it said: WARNING: Your password has expired."),
        ("lacks", "a-shell-that-is-not-here"),
    ],
)
def test_a_closed_shell_is_told_by_what_it_said(sshd, name, said):
    node = sshd("127.0.0.5", shell=CLOSED[name])
    told = refused(line_to(node))
    assert "no shell answers; it said: " in told
    assert said in told
    assert f"give {node.user} a shell there (chsh -s /bin/sh), or look at what its rc files do" in told


def test_a_shell_that_says_nothing_costs_no_more_than_the_deadline(sshd, monkeypatch):
    monkeypatch.setattr(line_module, "CONNECT_S", 2.0)
    node = sshd("127.0.0.5", shell=ENDLESS["mute"])
    begun = time.monotonic()
    assert refused(line_to(node)) == (
        f"{node.target}: logged in, and no shell answers within 2s; look at what the rc files of {node.user} do there"
    )
    assert time.monotonic() - begun < 2 + AT_ONCE_S


def test_a_shell_that_never_stops_talking_is_cut_off_and_eats_no_memory(sshd, monkeypatch):
    node = sshd("127.0.0.5", shell=ENDLESS["endless"])
    monkeypatch.setattr(line_module, "CONNECT_S", 5.0)
    before = _peak()
    told = refused(line_to(node))
    assert "no shell answers within" in told or "more than 16 MiB in all" in told
    assert _peak() - before < 100 * 2**10


def _peak() -> int:
    """KiB of memory that this process has had at most."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


# -- values -------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SHOW = "show() { for one; do printf '%s\\0' \"$one\"; done; }\n"


@pytest.mark.parametrize(
    "argv", [["/bin/sh"], ["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]], ids=" ".join
)
@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(
        TEXT
        | st.sampled_from(
            [
                "'",
                '"',
                "\\",
                "$(id)",
                "`id`",
                ";",
                "&",
                "|",
                "*",
                "~",
                "#",
                "!",
                "{a,b}",
                "$HOME",
                "-n",
                "--",
                "\n",
                "\r\n",
                "=",
                "[a]",
                "<<",
                "é",
            ]
        )
    )
)
@example(
    parts=[
        "",
        "'",
        "''",
        "a'b",
        "\\",
        "\\'",
        "\n",
        "\r",
        "$'\\n'",
        "\x81\x88",
        "ü",
        "\x7f\x1b[2J",
        "-n",
        "if",
        "=x",
    ]
)
def test_every_value_of_a_call_arrives_as_it_is(argv, parts):
    text = f"{SHOW}{words('show', *parts)}\n".encode()
    done = subprocess.run(argv, input=text, capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
    assert done.stdout == "".join(f"{part}\0" for part in parts).encode()
    assert done.stderr == b""


def test_a_value_that_no_command_line_can_hold_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        words("show", "a\0b")


def test_environment_and_arguments_arrive_byte_for_byte(warm):
    odd = {
        "QUOTES": "'\"`\\", "LINES": "a\nb\r\n\n", "RUNS": "$(touch /tmp/ran) ${HOME} `id`", "SPACES": "  a  b\t",
        "FOREIGN": "äöü 漢字 🦀 \u202e", "EMPTY": "", "STARS": "* ? [a-z] ~ {1..3} !! # ;&|<>", "LONG": "x" * 100_000,
    }  # fmt: skip
    _, text = run(warm, ("sh", "-c", 'env; printf "<%s>" "$@"', "sh", *odd.values()), env=odd)
    assert text.endswith("".join(f"<{value}>" for value in odd.values()))
    for name, value in odd.items():
        assert f"{name}={value}\n" in text


def test_a_folder_and_a_program_with_odd_names_are_what_they_are(warm, tmp_path):
    folder = tmp_path / '-it\'s $(a) "folder"\n'
    folder.mkdir()
    program = folder / "-run me; 'ü"
    program.write_text("#!/bin/sh\npwd\n")
    program.chmod(0o755)
    assert run(warm, (f"./{program.name}",), folder) == (Exit(0, None), f"{folder}\n")


def test_a_root_with_an_odd_name_is_quoted(node, tmp_path):
    root = tmp_path / 'it\'s $(touch ran) "root" ü'
    assert says(line_to(node, root), "prepare", 0) == ""
    assert (root / ".sando").is_dir()


# -- commands -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, ended",
    [
        ("exit 0", Exit(0, None)),
        ("exit 1", Exit(1, None)),
        ("exit 128", Exit(128, None)),
        ("exit 200", Exit(200, None)),
        ("exit 255", Exit(255, None)),
        ("kill -TERM $$", Exit(None, signal.SIGTERM)),
        ("kill -9 $$", Exit(None, signal.SIGKILL)),
        (("sh", "-c", "exit 7"), Exit(7, None)),
        ("exit 127", Exit(127, None)),
    ],
)
def test_a_command_ends_as_it_ended(warm, command, ended):
    assert run(warm, command)[0] == ended


def test_both_streams_are_one_in_the_order_in_which_they_were_written(warm, log):
    script = 'for n in 1 2 3 4 5; do echo "out $n"; echo "err $n" >&2; done'
    _, text = run(warm, script, log=log)
    assert text == "".join(f"out {n}\nerr {n}\n" for n in range(1, 6))
    assert log.path.read_text() == text


def test_what_a_command_writes_may_look_like_anything(warm, log):
    text = "@status 7\n@output x\n@pid 1\n\x1b[2J\r\n@output of the command\nno newline at its end"
    _, said = run(warm, ("printf", "%s", text), log=log)
    assert said == text
    assert log.path.read_bytes() == text.encode()


def test_ten_megabytes_of_output_are_drained_and_the_last_of_it_is_in_the_log(warm, log):
    script = "yes 0123456789abcde | head -c 5000000; yes 0123456789abcde | head -c 5000000 >&2; echo the end"
    ended, text = run(warm, script, log=log)
    assert ended.ok
    assert text.endswith("the end\n")
    told = log.path.read_text()
    assert told.endswith("the end\n")
    cut = told.partition("sando: [... ")[2].partition(" bytes of output were not fetched ...]")[0]
    assert len(told) + int(cut or 0) >= 10_000_000


def test_output_is_in_the_log_while_the_command_still_runs(warm, log, tmp_path, monkeypatch):
    monkeypatch.setattr(commands_module, "PEEK_S", 0.05)
    go = tmp_path / "go"
    script = f"echo first; yes more | head -c 300000; until [ -e {go} ]; do sleep 0.02; done; echo last"
    with Background(lambda: run(warm, script, log=log)) as job:
        until(lambda: log.size() == 300_006)
        assert job.result is None
        go.touch()
    assert job.result[0].ok
    assert log.path.read_text().splitlines()[-2:] == ["more", "last"]
    assert log.size() == 300_011


def test_a_folder_that_is_not_there_is_told(warm):
    error = failing(warm, "true", "/no such/folder")
    assert error.errored
    assert "cannot enter /no such/folder" in error.detail


@pytest.mark.parametrize(
    "command, said",
    [
        (("no-such-program", "-x"), "command not found: no-such-program"),
        (("/etc/passwd",), "not executable: /etc/passwd"),
    ],
)
def test_what_cannot_be_started_could_not_run(warm, command, said):
    error = failing(warm, command)
    assert error.errored
    assert error.detail.startswith(said)
    assert error.step == "restart"


def below(node: Sshd, mark: Path) -> list[int]:
    """Processes of the node that were started by a command with this mark in its environment."""
    found = []
    for pid in node.left():
        try:
            if str(mark).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


STUBBORN = "trap '' TERM; sleep 100 & (sleep 100; :) & sh -c 'trap \"\" TERM; sleep 100; :' & echo ready; wait; wait; sleep 100"


def test_what_ignores_sigterm_is_gone_five_seconds_after_its_deadline_at_the_latest(warm):
    """The promise of SPEC 11, with the grace that is given in earnest."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(failing, warm, STUBBORN, timeout=1.0)
        assert future.result(1.0 + 5.0).detail == "restart timed out after 1s; it was killed"


@pytest.mark.parametrize("way", ["timeout", "cancel"])
def test_all_of_a_command_ends_with_it_what_ignores_sigterm_too(node, warm, tmp_path, monkeypatch, way):
    monkeypatch.setattr(commands_module, "GRACE_S", 0.4)
    token = CancelToken()
    began = lambda: len(below(node, tmp_path)) >= 4  # noqa: E731
    env = {"MARK": str(tmp_path)}
    if way == "timeout":
        error = failing(warm, STUBBORN, env=env, timeout=1.0)
        assert (error.detail, error.tail, error.errored) == (
            "restart timed out after 1s; it was killed",
            "ready",
            False,
        )
    else:
        with Background(lambda: run(warm, STUBBORN, env=env, cancel=token)) as job:
            until(began)
            token.cancel()
        assert isinstance(job.error, Cancelled)
    until(lambda: below(node, tmp_path) == [])


def test_a_command_that_is_cancelled_at_its_very_start_does_not_run_on(node, warm, tmp_path):
    token = CancelToken()
    remote = Remote(
        warm, "sleep 100", cwd="/", env={"MARK": str(tmp_path)}, log=None, cancel=token, step="x", limit=100
    )
    token.cancel()
    assert remote.end(1.0).ended
    until(lambda: below(node, tmp_path) == [])
    assert remote.end() == remote.poll()


def test_what_a_command_leaves_running_in_a_session_of_its_own_survives_it_and_the_connection(
    node, tmp_path, root, monkeypatch
):
    monkeypatch.setattr(commands_module, "GRACE_S", 0.4)
    line = line_to(node, root)
    with closing(line):
        script = "setsid sh -c 'echo $$ > pid; while :; do echo alive; sleep 0.05; done' & until [ -s pid ]; do sleep 0.02; done"
        assert run(line, script, tmp_path)[0].ok
        assert failing(line, "setsid sleep 100 & sleep 100", tmp_path, timeout=0.3, env={"A": str(tmp_path)})
    pid = int((tmp_path / "pid").read_text())
    try:
        assert sorted(below(node, tmp_path)) != []
        assert Path(f"/proc/{pid}").exists()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_nothing_that_watched_a_command_outlives_it(node, root):
    before = set(node.left())
    line = line_to(node, root)
    with closing(line):
        for _ in range(3):
            run(line, "true", timeout=100)
        until(lambda: set(node.left()) - before == set(_shells(node)) - before)
    until(lambda: not set(node.left()) - before)


def _shells(node: Sshd) -> list[int]:
    """What is left on the node besides the services of other tests."""
    names = {}
    for pid in node.left():
        try:
            names[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
    return [pid for pid, argv in names.items() if argv[0].endswith(b"sh")]


def test_a_node_ends_by_its_own_limit_what_nobody_ends(node, root, tmp_path):
    line = line_to(node, root)
    Remote(
        line,
        "sleep 100 & sleep 100",
        cwd="/",
        env={"A": str(tmp_path)},
        log=None,
        cancel=FREE,
        step="x",
        limit=1,
    )
    until(lambda: below(node, tmp_path))
    node.kill_sessions()
    line.close()
    assert below(node, tmp_path)
    until(lambda: below(node, tmp_path) == [], 40)


# -- poor nodes ---------------------------------------------------------------------------------------------


def test_a_node_without_setsid_runs_commands_and_ends_them(sshd, root, tmp_path):
    node = sshd("127.0.0.5", shell=on_path(tools(tmp_path / "bin", without=("setsid",))))
    line = line_to(node, root)
    with closing(line):
        assert run(line, "echo hello; exit 4") == (Exit(4, None), "hello\n")
        failing(line, ("sleep", "100"), env={"A": str(tmp_path)}, timeout=0.2)
        assert below(node, tmp_path / "none") == []
        until(
            lambda: (
                not [
                    pid for pid in node.left() if b"sleep\x00100" in Path(f"/proc/{pid}/cmdline").read_bytes()
                ]
            )
        )


def test_a_node_whose_disk_is_full_still_runs_a_restart(sshd, tmp_path, log):
    with small_disk(tmp_path / "disk", 1) as disk:
        node = sshd("127.0.0.5", shell=disk.on())
        line = line_to(node, disk.folder)
        with closing(line):
            assert run(
                line, f"mkdir {disk.folder}/.sando; dd if=/dev/zero of={disk.folder}/big bs=4096; true"
            )[0].ok
            ended, _ = run(
                line, "set -e; echo restarted; echo done > /dev/null; exit 5", disk.folder, log=log
            )
            assert ended == Exit(5, None)


def test_a_root_that_is_not_there_yet_keeps_no_command_from_running(node, tmp_path):
    line = line_to(node, tmp_path / "nothing")
    with closing(line):
        assert run(line, "echo hello; exit 3")[0] == Exit(3, None)
    assert not (tmp_path / "nothing").exists()


# -- sessions -----------------------------------------------------------------------------------------------


def test_a_node_that_takes_one_session_a_connection_has_live_output_and_ends(
    sshd, root, log, tmp_path, monkeypatch
):
    monkeypatch.setattr(commands_module, "PEEK_S", 0.05)
    monkeypatch.setattr(commands_module, "GRACE_S", 0.4)
    node = sshd("127.0.0.5", options=("MaxSessions 1",))
    line = line_to(node, root)
    with closing(line):
        go = tmp_path / "go"
        with Background(
            lambda: run(line, f"echo first; until [ -e {go} ]; do sleep 0.02; done", log=log)
        ) as job:
            until(lambda: log.size() == 6)
            go.touch()
        assert job.result[0].ok
        env = {"A": str(tmp_path)}
        assert failing(line, "echo hello; sleep 100", timeout=0.3, env=env).tail == "hello"
        until(lambda: below(node, tmp_path) == [])
        assert node.sessions() == 2
    until(lambda: node.sessions() == 0)


def test_a_node_that_takes_no_session_at_all_names_the_setting(sshd):
    node = sshd("127.0.0.5", options=("MaxSessions 0",))
    assert "sshd opens no session; raise MaxSessions in its sshd_config" in refused(line_to(node))


def test_an_sshd_that_drops_what_is_too_much_is_asked_again_and_told_when_it_goes_on(sshd, monkeypatch):
    monkeypatch.setattr(line_module, "AGAIN_S", (0.05, 0.05))
    node = sshd("127.0.0.5", options=("MaxStartups 1",))
    with socket.create_connection((node.host, node.port)) as greedy:
        assert greedy.recv(4) == b"SSH-"
        line = line_to(node)
        told = refused(line)
        assert "it hung up before it said anything" in told
        assert "(MaxStartups)" in told
        assert node.log.count("drop connection") == 3 or node.log.count("Exceeded MaxStartups") == 3
        monkeypatch.setattr(line_module, "AGAIN_S", (0.05,) * 100)
        with Background(lambda: says(line)) as job:
            until(lambda: node.log.count("drop connection") > 3 or node.log.count("Exceeded MaxStartups") > 3)
            greedy.close()
    assert job.result == "hello", job.error


# -- connections through the node ---------------------------------------------------------------------------


@pytest.fixture
def host(node, root):
    keys = {"identity_file": str(node.identity), "known_hosts": str(node.known_hosts)}
    link = connect(NodeSpec("n", node.target, str(root), **keys), Parcels())
    yield link.host(FREE)
    link.close()


def never(*_):
    raise AssertionError


def test_http_is_asked_through_the_node(host):
    with Answering() as server:
        server.status(200)
        assert look(Probe(http=server.url), host.open_tcp, never, 5) == (True, f"{server.url} answered 200")
        server.status(503, "no database")
        green, said = look(Probe(http=server.url), host.open_tcp, never, 5)
        assert (green, said) == (False, f"{server.url} answered 503: no database")
        assert look(Probe(tcp=f"127.0.0.1:{server.port}"), host.open_tcp, never, 5)[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
         "-keyout", str(folder / "key"), "-out", str(folder / "cert")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_https_is_asked_through_the_node(host, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    body = b"x" * 100_000

    def serve(listener):
        peer, _ = listener.accept()
        with context.wrap_socket(peer, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/health"
        with Background(lambda: serve(listener)):
            green, said = look(Probe(http=url), host.open_tcp, never, 10)
    assert (green, said) == (False, f"{url} answered 500: {'x' * 200}")


def test_https_to_what_speaks_none_is_red(host):
    with Answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        url = server.url.replace("http:", "https:")
        green, said = look(Probe(http=url), host.open_tcp, never, 5)
    assert not green
    assert said.startswith(f"{url}: ")


def test_a_port_on_which_nobody_listens_is_red_and_no_trouble(host):
    green, said = look(Probe(tcp="127.0.0.1:1"), host.open_tcp, never, 5)
    assert (green, said) == (False, "tcp 127.0.0.1:1: connection refused")
    host.check_forwarding("127.0.0.1", 1)


def test_a_service_that_takes_a_connection_and_says_nothing_is_red_in_time(host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        begun = time.monotonic()
        assert look(Probe(http=url), host.open_tcp, never, 0.4) == (False, f"{url}: no answer within 0.4s")
        assert time.monotonic() - begun < AT_ONCE_S


@pytest.mark.parametrize(
    "options",
    [
        ("AllowTcpForwarding no",),
        ("AllowTcpForwarding remote",),
        ("PermitOpen 127.0.0.1:9",),
        ("DisableForwarding yes",),
    ],
    ids=" ".join,
)
def test_a_node_that_forwards_nothing_is_found_out_and_both_ways_out_are_named(sshd, root, options):
    node = sshd("127.0.0.5", options=options)
    keys = {"identity_file": str(node.identity), "known_hosts": str(node.known_hosts)}
    link = connect(NodeSpec("n", node.target, str(root), **keys), Parcels())
    with closing(link), pytest.raises(WorkError) as caught:
        link.host(FREE).check_forwarding("127.0.0.1", 8080)
    assert caught.value.errored
    told = caught.value.detail
    assert told.startswith(f"{node.target}: its sshd forwards no connection to 127.0.0.1:8080")
    for word in (
        "AllowTcpForwarding local",
        "PermitOpen",
        "DisableForwarding",
        "sshd_config",
        "probe = { command = … }",
    ):
        assert word in told


def test_a_permitted_address_is_looked_at_once_in_a_connections_life(sshd, root):
    with Answering() as server:
        node = sshd("127.0.0.5", options=(f"PermitOpen 127.0.0.1:{server.port}", "LogLevel DEBUG"))
        keys = {"identity_file": str(node.identity), "known_hosts": str(node.known_hosts)}
        link = connect(NodeSpec("n", node.target, str(root), **keys), Parcels())
        with closing(link):
            for _ in range(3):
                link.host(FREE).check_forwarding("127.0.0.1", server.port)
        assert node.log.count("server_request_direct_tcpip") == 1


# -- boot ---------------------------------------------------------------------------------------------------


def boot(host, root, command, log, cancel=FREE, **keys):
    words = {"probe": None, "settle_s": 0.2, "timeout_s": 5.0, "keepers": None}
    return host.boot(
        ("sh", "-c", command),
        cwd=str(root),
        env={"A": str(root)},
        log=log,
        cancel=cancel,
        **{**words, **keys},
    )


def test_what_boots_and_ends_on_sigterm_is_green(host, root, log):
    verdict = boot(host, root, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", log)
    assert verdict.passed, verdict
    assert "up\n" in log.path.read_text()


def test_what_dies_before_its_probe_answers_is_red_at_once_with_what_it_said(host, root, log):
    begun = time.monotonic()
    probe = Probe(http="http://127.0.0.1:{port}/")
    verdict = boot(host, root, "echo no licence; exit 3", log, probe=probe, timeout_s=30.0)
    assert not verdict.passed
    assert "ended by itself before it answered" in verdict.message
    assert "exit status 3" in verdict.message
    assert verdict.message.endswith("it said: no licence")
    assert time.monotonic() - begun < 2 * AT_ONCE_S


@pytest.mark.parametrize(
    "probe, trap",
    [(None, "trap '' TERM;"), (Probe(http="http://127.0.0.1:{port}/"), ""), (Probe(command="sleep 100"), "")],
    ids=["stubborn", "http", "command"],
)
def test_a_cancelled_boot_leaves_nothing_on_the_node(node, host, root, log, probe, trap, monkeypatch):
    monkeypatch.setattr(boot_module, "TERM_GRACE_S", 0.2)
    token = CancelToken()
    script = f"{trap} sleep 100 & wait; {trap and 'wait'}"
    with Background(lambda: boot(host, root, script, log, token, probe=probe, settle_s=30.0)) as job:
        until(lambda: below(node, root))
        token.cancel()
    assert isinstance(job.error, Cancelled)
    until(lambda: below(node, root) == [])


# -- what a node may say ------------------------------------------------------------------------------------


@given(
    st.binary()
    | st.lists(
        st.sampled_from([b"@free 1", b"@free x", b"@output a", b"@", b"\xff", b"\x1b[2J", b"@a b"])
    ).map(b"\n".join)
)
@example(b"@free 12\nmv: no\n@output of it\n@free 13\n\x00")
def test_an_answer_of_any_bytes_is_taken_apart_and_can_be_shown(heard):
    reply = parse(0, heard)
    assert reply.said.isprintable() or reply.said == visible(reply.said)
    assert reply.number("free") is None or reply.number("free") >= 0
    head, _, body = (b"\n" + heard).partition(b"\n@output ")
    assert reply.output == body.partition(b"\n")[2]
    assert len(reply.facts) <= head.count(b"@")


def test_of_much_that_was_said_the_last_is_told():
    said = parse(1, b"".join(b"line %d\n" % n for n in range(100_000))).said
    assert said.startswith("… ")
    assert said.endswith("line 99998; line 99999")
    assert len(said) < 2100


# -- the end ------------------------------------------------------------------------------------------------


def test_a_closed_line_leaves_no_thread_no_socket_and_no_shell_and_opens_again(node, root):
    before, shells = held(), set(_shells(node))
    line = line_to(node, root)
    with line.shell(FREE), line.shell(FREE):
        assert len(set(_shells(node)) - shells) == 2
    run(line, "true")
    line.close()
    line.close()
    until(lambda: held() <= before)
    until(lambda: not set(_shells(node)) - shells)
    assert run(line, "echo again")[1] == "again\n"
    line.close()
