"""The nodes: one sshd each, on a loopback address, port and folder of its own, with keys made for this run.

It never touches the machine's own sshd, the user's keys or configuration.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from shell import NotInstalled, WayFailed, clean_env, end, run

_SSHD = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {keys}/id.pub
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
PrintLastLog no
LogLevel ERROR
MaxStartups 200
MaxSessions 50
PermitUserRC no
SetEnv HOME={folder}/home
Subsystem sftp internal-sftp
"""
_SSH = """\
Host {name}
  HostName {address}
  Port {port}
"""
_SSH_ALL = """\
Host *
  User {user}
  IdentityFile {keys}/id
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {keys}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  UpdateHostKeys no
  BatchMode yes
  LogLevel ERROR
"""
_READY_S = 20.0


@dataclass(frozen=True)
class Node:
    name: str
    address: str
    port: int
    folder: Path

    def root(self, way: str) -> Path:
        """The release root that this way has on the node."""
        return self.folder / way


class Nodes:
    """All nodes of the run, their sshds, and a warm ControlMaster to each."""

    def __init__(self, work: Path, count: int) -> None:
        self.user = getpass.getuser()
        self.keys = work / "keys"
        self.cold, self.warm = self.keys / "cold", self.keys / "warm"
        self.identity, self.known_hosts = self.keys / "id", self.keys / "known_hosts"
        self._sshds: list[subprocess.Popen[bytes]] = []
        self._masters: list[subprocess.Popen[bytes]] = []
        self.keys.mkdir(mode=0o700)
        _keygen(self.identity)
        self.all = [self._node(work, number) for number in range(1, count + 1)]
        self._write_client_files()

    def start(self) -> None:
        program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            raise NotInstalled("sshd is not installed: apt-get install openssh-server")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd of root wants to be separated
        for node in self.all:
            self._sshds.append(_start([program, "-D", "-e", "-f", str(node.folder / "sshd_config")], node))
        for node in self.all:
            _until(lambda node=node: _listens(node), f"the sshd of {node.name} does not listen", node)

    def warm_up(self) -> None:
        """A ControlMaster to every node, kept in the foreground as a child of this process."""
        for node in self.all:
            argv = ["ssh", "-F", str(self.warm), "-o", "ControlMaster=yes", "-N", node.name]
            self._masters.append(_start(argv, node))
        for node in self.all:
            _until((self.keys / f"{node.name}.sock").exists, f"no ControlMaster to {node.name}", node)

    def stop(self) -> None:
        for master in self._masters:
            end(master)
        for sshd in self._sshds:
            left = _children(sshd.pid)  # connections that somebody did not close
            end(sshd)
            for pid in left:
                _signal(pid)

    def _node(self, work: Path, number: int) -> Node:
        address, folder = f"127.77.0.{number}", work / "nodes" / f"n{number:02}"
        (folder / "home").mkdir(parents=True)  # so that no shell on the node reads the user's .bashrc
        _keygen(folder / "host_key")
        node = Node(f"n{number:02}", address, _free_port(address), folder)
        text = _SSHD.format(address=address, port=node.port, folder=folder, keys=self.keys)
        (folder / "sshd_config").write_text(text)
        return node

    def _write_client_files(self) -> None:
        hosts = "".join(_SSH.format(name=n.name, address=n.address, port=n.port) for n in self.all)
        common = hosts + _SSH_ALL.format(user=self.user, keys=self.keys)
        self.cold.write_text(common + "  ControlMaster no\n  ControlPath none\n")
        self.warm.write_text(common + f"  ControlMaster no\n  ControlPath {self.keys}/%n.sock\n")
        lines = [
            f"[{n.address}]:{n.port} {(n.folder / 'host_key.pub').read_text().strip()}\n" for n in self.all
        ]
        self.known_hosts.write_text("".join(lines))


def _keygen(path: Path) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sando-bench", "-f", str(path)])


def _free_port(address: str) -> int:
    with socket.socket() as free:
        free.bind((address, 0))
        return int(free.getsockname()[1])


def _start(argv: list[str], node: Node) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is the bench's to answer."""
    with (node.folder / "log").open("ab") as log:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_env(), start_new_session=True
        )


def _listens(node: Node) -> bool:
    try:
        socket.create_connection((node.address, node.port), timeout=1).close()
    except OSError:
        return False
    return True


def _until(ready, complaint: str, node: Node) -> None:
    deadline = time.monotonic() + _READY_S
    while not ready():
        if time.monotonic() > deadline:
            raise WayFailed(f"{complaint}: {(node.folder / 'log').read_text()[-500:]}")
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _signal(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
