"""The sshd of the tests is a real one, and each odd node is as odd as it says."""

import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.work import sshds
from tests.work.sshds import CLOSED, ENDLESS, NOISY, SHELLS, small_disk
from tests.work.wild import until

sshd = sshds.sshd
WAITING = "echo ready; exec sleep 100"


@contextmanager
def waiting(node):
    """A client whose command has begun and does not end by itself."""
    with subprocess.Popen(
        node.argv(WAITING), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        try:
            assert client.stdout.readline() == b"ready\n"
            yield client
        finally:
            client.kill()


def test_a_command_runs_on_a_node_of_any_loopback_address(sshd):
    node = sshd("127.0.0.3")
    done = node.run("id -un; echo $SSH_CONNECTION; exit 7")
    user, connection = done.stdout.splitlines()
    assert (done.returncode, user) == (7, node.user)
    assert connection.endswith(f" 127.0.0.3 {node.port}")
    assert node.target == f"{node.user}@127.0.0.3:{node.port}"
    assert f"Accepted publickey for {node.user}" in node.log


def test_a_line_of_the_test_wins_over_the_usual_one(sshd):
    node = sshd(options=("PubkeyAuthentication no",))
    done = node.run("true")
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def test_a_server_that_does_not_start_says_why(sshd):
    with pytest.raises(AssertionError, match="Bad configuration option: Nonsense"):
        sshd(options=("Nonsense yes",))


def test_a_node_may_have_a_host_key_of_another_kind(sshd):
    node = sshd(host_keys=("ecdsa",))
    assert node.run("echo hello").stdout == "hello\n"
    assert f"]:{node.port} ecdsa" in node.known_hosts.read_text()


def test_a_changed_host_key_is_noticed(sshd):
    node = sshd()
    node.rekey()
    done = node.run("true")
    assert done.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_a_node_comes_back_under_its_port(sshd):
    node = sshd()
    node.stop()
    assert "Connection refused" in node.run("true").stderr
    node.start()
    assert node.run("echo again").stdout == "again\n"


def test_killed_sessions_end_a_connection_and_the_listener_lives(sshd):
    node = sshd()
    with waiting(node) as client:
        assert node.sessions() == 1
        node.kill_sessions()
        assert client.wait(10) == 255
    until(lambda: node.sessions() == 0)
    assert node.run("echo there").stdout == "there\n"


def test_a_frozen_node_answers_when_it_is_thawed(sshd):
    node = sshd()
    node.freeze()
    with socket.create_connection((node.host, node.port), 5) as sock:
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        node.thaw()
        sock.settimeout(10)
        assert sock.recv(4) == b"SSH-"


def test_a_frozen_session_is_silent_until_it_is_thawed(sshd):
    node = sshd()
    with subprocess.Popen(node.argv("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        client.stdin.write(b"1\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"1\n"
        node.freeze()
        with pytest.raises(subprocess.TimeoutExpired):
            client.communicate(b"2\n", timeout=0.2)
        node.thaw()
        assert client.communicate(timeout=10)[0] == b"2\n"


def test_after_a_reboot_nothing_that_was_started_is_left(sshd):
    node = sshd()
    started = "nohup setsid sleep 100 >/dev/null 2>&1 & echo $!"
    pid = int(node.run(started).stdout)
    assert pid in node.left()
    node.stop()
    assert pid in node.left()
    node.start()
    node.reboot()
    assert node.left() == []
    assert node.run("true").returncode == 0


def test_the_end_of_a_farm_ends_all_servers_and_what_they_started(tmp_path):
    with sshds.farm(tmp_path) as farm:
        nodes = [farm("127.0.0.1"), farm("127.0.0.2")]
        for node in nodes:
            node.run("nohup sleep 100 >/dev/null 2>&1 &")
        pids = [node.process.pid for node in nodes] + [pid for node in nodes for pid in node.left()]
        assert len(pids) == 4
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists() and not _zombie(pid)]


def _zombie(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


# -- login shells --------------------------------------------------------------------------------------------

ASKS = {
    "sh": ("echo ${0##*/}", "sh"),
    "bash": ("echo ${BASH_VERSION:+bash}", "bash"),
    "tcsh": ("if ($?tcsh) echo tcsh", "tcsh"),
    "fish": ("set -q FISH_VERSION; and echo fish", "fish"),
}


def answers(sshd, shells, commands):
    """Asked all at once: most of the time of a login is waiting."""
    clients = {
        name: subprocess.Popen(
            sshd(shell=shell).argv(commands[name]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name, shell in shells.items()
    }
    return {name: (*client.communicate(timeout=20), client.returncode) for name, client in clients.items()}


def test_each_login_shell_is_the_one_that_it_says(sshd):
    told = answers(sshd, SHELLS, {name: question for name, (question, _) in ASKS.items()})
    assert told == {name: (f"{answer}\n".encode(), b"", 0) for name, (_, answer) in ASKS.items()}


def test_each_noisy_shell_runs_the_command_among_its_noise(sshd):
    for out, err, status in answers(sshd, NOISY, dict.fromkeys(NOISY, "echo the answer; exit 3")).values():
        assert out.endswith(b"the answer\n")
        assert len(out + err) > len(b"the answer\n")
        assert status == 3


def test_behind_a_closed_shell_no_command_runs(sshd):
    told = answers(sshd, CLOSED, dict.fromkeys(CLOSED, "echo the answer"))
    assert {name: status for name, (_, _, status) in told.items()} == {
        "nologin": 1,
        "false": 1,
        "expired": 1,
        "lacks": 127,
    }
    assert not [out for out, _, _ in told.values() if b"the answer" in out]


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_shell_does_not_end_by_itself(sshd, name):
    node = sshd(shell=ENDLESS[name])
    with subprocess.Popen(
        node.argv("echo"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as client:
        until(node.left)
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.1)
        node.kill_sessions()
        assert client.wait(10) == 255


# -- other programs ------------------------------------------------------------------------------------------


def test_all_programs_of_a_busybox_node_are_busyboxes(sshd, tmp_path):
    node = sshd(shell=sshds.on_path(sshds.busybox(tmp_path / "bin")))
    asked = ["sh", "tar", "sha256sum", "mv", "readlink", "find", "stat", "dd", "df"]
    done = node.run(
        f"for one in {' '.join(asked)}; do readlink -f $(which $one); done; readlink /proc/$$/exe; zstd --version"
    )
    assert [Path(line).name for line in done.stdout.splitlines()] == ["busybox"] * (len(asked) + 1)
    assert done.returncode == 127


def test_a_node_may_lack_a_program_and_have_the_others(sshd, tmp_path):
    node = sshd(shell=sshds.on_path(sshds.tools(tmp_path / "bin", without=("zstd", "sha256sum"))))
    done = node.run("command -v zstd; command -v sha256sum; tar --version; zstd --version")
    assert done.stdout.startswith("tar (GNU tar)")
    assert done.returncode == 127


# -- small disks ---------------------------------------------------------------------------------------------


def test_a_small_disk_is_full_soon_and_the_test_sees_it(sshd, tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        node = sshd(shell=disk.on())
        done = node.run(f"cd {disk.folder} && echo here > file && dd if=/dev/zero of=big bs=65536 count=32")
        assert "No space left on device" in done.stderr
        assert (disk.seen / "file").read_text() == "here\n"
        assert (disk.seen / "big").stat().st_size <= 1024 * 1024
    assert os.listdir(tmp_path / "disk") == []  # noqa: PTH208


def test_a_small_disk_may_run_no_program(sshd, tmp_path):
    with small_disk(tmp_path / "disk", 1, "mode=0777,noexec") as disk:
        node = sshd(shell=disk.on())
        done = node.run(f"cd {disk.folder} && printf '#!/bin/sh\\n' > run && chmod +x run && ./run")
        assert (done.returncode, "Permission denied" in done.stderr) == (126, True)


def test_a_limit_of_files_holds_for_any_user(sshd, tmp_path):
    node = sshd(shell=sshds.no_file_over(64))
    done = node.run(f"dd if=/dev/zero of={tmp_path}/big bs=1024 count=128")
    assert done.returncode != 0
    assert (tmp_path / "big").stat().st_size == 64 * 1024
