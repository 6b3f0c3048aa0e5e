"""Real OpenSSH servers on loopback, their keys and the odd nodes behind them; nothing outlives `end`."""

import functools
import os
import pwd
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from tests.ports import free_port
from tests.work.wild import until

PROGRAM = "/usr/sbin/sshd"
DEADLINE_S = 10.0
# SHLVL: a bash that sshd starts at the outermost level reads the user's .bashrc, which is not the tests' business.
OPTIONS = """
SetEnv SHLVL=2
UsePAM no
StrictModes no
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserRC no
PrintMotd no
PrintLastLog no
UseDNS no
LogLevel VERBOSE
MaxStartups 200
MaxSessions 100
AllowTcpForwarding yes
Subsystem sftp /usr/lib/openssh/sftp-server
"""


# -- keys ----------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    private: str
    public: str

    def write(self, path: Path) -> Path:
        path.write_text(self.private)
        path.chmod(0o600)
        path.with_name(path.name + ".pub").write_text(self.public)
        return path


def new_pair(kind: str = "ed25519", passphrase: str = "") -> Pair:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "key")
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return Pair(path.read_text(), path.with_suffix(".pub").read_text().strip())


@functools.cache
def pair(kind: str, purpose: str) -> Pair:
    """Made once in a test run: an RSA key takes its time."""
    return new_pair(kind)


# -- processes -----------------------------------------------------------------------------------------------


class Row(NamedTuple):
    pid: int
    parent: int
    name: str


def _processes() -> Iterator[Row]:
    """All that live; a zombie serves nobody."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                head, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
                state, parent = rest.split()[:2]
                if state not in "ZX":
                    yield Row(int(folder.name), int(parent), head.partition("(")[2])


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _carries(pid: int, word: bytes) -> bool:
    try:
        return word in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


# -- the server ----------------------------------------------------------------------------------------------


@functools.cache
def _options_of_this_version() -> str:
    """Since 9.8 a client that fails to log in is shut out for a while, all tests of 127.0.0.1 with it."""
    told = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    version = re.search(r"OpenSSH_(\d+)\.(\d+)", told)
    assert version, told
    return "PerSourcePenalties no\n" if tuple(map(int, version.groups())) >= (9, 8) else ""


class Sshd:
    """A node: `target` with `identity` and `known_hosts` logs in as the user who runs the tests.

    `options` are lines of sshd_config that win over the usual ones. `shell` is the text of an sh script that stands
    for the user's login shell: it finds the command in `$SSH_ORIGINAL_COMMAND` (see `SHELLS`).
    """

    def __init__(
        self,
        folder: Path,
        address: str = "127.0.0.1",
        options: tuple[str, ...] = (),
        shell: str | None = None,
        host_keys: tuple[str, ...] = ("ed25519",),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.host = address
        self.port = free_port(address)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.identity = pair("ed25519", "client").write(folder / "id_ed25519")
        self.known_hosts = folder / "known_hosts"
        self.process: subprocess.Popen[bytes] | None = None
        self._options = options
        self._shell = shell
        self._keys = {kind: pair(kind, "host") for kind in host_keys}
        (folder / "authorized_keys").write_text(pair("ed25519", "client").public + "\n")
        self.known_hosts.write_text("")
        self.through(self.port)
        self._write()
        self.start()

    @property
    def target(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")

    def through(self, port: int) -> str:
        """The target by another port of its address, that of a wire before it; its host keys are known there too."""
        with self.known_hosts.open("a") as file:
            file.writelines(f"[{self.host}]:{port} {key.public}\n" for key in self._keys.values())
        return f"{self.user}@{self.host}:{port}"

    def _write(self) -> None:
        lines = [*self._options, f"ListenAddress {self.host}:{self.port}"]
        lines += [f'HostKey "{key.write(self.folder / f"host_{kind}")}"' for kind, key in self._keys.items()]
        lines += [f'AuthorizedKeysFile "{self.folder}/authorized_keys"']
        if self._shell is not None:
            script = self.folder / "shell"
            script.write_text(f"#!/bin/sh\n{self._shell}\n")
            script.chmod(0o755)
            lines += [f"ForceCommand {shlex.quote(str(script))}"]
        # Of most options sshd takes the first, of MaxStartups the last.
        given = {line.split()[0] for line in self._options}
        usual = (OPTIONS + _options_of_this_version()).splitlines()
        lines += [line for line in usual if line.partition(" ")[0] not in given]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    # -- its life ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.folder / "sshd.log").open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [PROGRAM, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            until(lambda: self._listens(begin), DEADLINE_S)
        except AssertionError:
            self.stop()
            raise
        return self

    def _listens(self, begin: int) -> bool:
        assert self.process
        assert self.process.poll() is None, f"sshd ended with {self.process.returncode}:\n{self.log}"
        return b"Server listening on" in (self.folder / "sshd.log").read_bytes()[begin:]

    def stop(self) -> None:
        """The listener and all connections; commands that it ran may live on, as after a crash of sshd."""
        if self.process and self.process.poll() is None:
            self._hold()
            _signal(self._serving(), signal.SIGKILL)
            self.process.kill()
            self.process.wait(DEADLINE_S)
        self.process = None

    def _hold(self) -> None:
        """The listener forks no session while they are counted."""
        _signal([self._pid], signal.SIGSTOP)
        stat = Path(f"/proc/{self._pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] in "TZ", DEADLINE_S)

    def end(self) -> None:
        """Stop, and kill what its sessions left behind."""
        self.stop()
        until(lambda: not self._kill_left(), DEADLINE_S)

    def _kill_left(self) -> list[int]:
        pids = self.left()
        _signal(pids, signal.SIGKILL)
        return pids

    def reboot(self) -> None:
        """All processes of the node end; then it listens again."""
        self.end()
        self.start()

    def rekey(self) -> None:
        """A node that was made anew: other host keys under the same address. Nothing is told to known_hosts."""
        self._keys = {kind: new_pair(kind) for kind in self._keys}
        self.stop()
        self._write()
        self.start()

    # -- its connections ---------------------------------------------------------------------------------------

    def left(self) -> list[int]:
        """The processes that any session of this node has started and that live now."""
        word = f" {self.host} {self.port}\0".encode()  # the end of SSH_CONNECTION
        return [row.pid for row in _processes() if _carries(row.pid, word) and row.pid != os.getpid()]

    def _serving(self) -> list[int]:
        """Processes of sshd that serve connections: below the listener, up to the first command."""
        rows = [row for row in _processes() if row.name.startswith("sshd")]
        found = [self._pid]
        for pid in found:
            found += [row.pid for row in rows if row.parent == pid]
        return found[1:]

    @property
    def _pid(self) -> int:
        assert self.process, "sshd is stopped"
        return self.process.pid

    def sessions(self) -> int:
        """Connections that are served now, those that have not logged in yet among them."""
        return sum(row.parent == self._pid and row.name.startswith("sshd") for row in _processes())

    def kill_sessions(self) -> None:
        """Every connection drops; the listener lives."""
        pids = self._serving()
        _signal(pids, signal.SIGKILL)
        until(lambda: not set(pids) & {row.pid for row in _processes()}, DEADLINE_S)

    def freeze(self) -> None:
        """Connections stay open and nobody answers, until `thaw`."""
        self._hold()
        _signal(self._serving(), signal.SIGSTOP)

    def thaw(self) -> None:
        _signal([self._pid, *self._serving()], signal.SIGCONT)

    # -- a client ----------------------------------------------------------------------------------------------

    def argv(self, *words: str, port: int | None = None) -> list[str]:
        """OpenSSH's own client, strict, with nothing of the user's configuration."""
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": f'"{self.known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "ConnectTimeout": "10",
            "KexAlgorithms": "curve25519-sha256",  # the usual one costs 0.1 s
        }
        settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        where = ["-i", str(self.identity), "-p", str(port or self.port), f"{self.user}@{self.host}"]
        return ["ssh", "-F", "none", *settings, *where, "--", *words]

    def run(
        self, command: str, *, port: int | None = None, timeout: float = 20.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(command, port=port),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


# -- login shells and odd nodes ------------------------------------------------------------------------------

# Texts for `shell=`; each of the functions puts lines before one of them, so that they go together.
RUN = """[ -n "${SSH_ORIGINAL_COMMAND+x}" ] || exec sh
exec sh -c "$SSH_ORIGINAL_COMMAND"
"""


def login(program: str) -> str:
    """The user's shell is that program; what it keeps for itself stays beside the wrapper, not in the user's home."""
    return f"""SHELL=$(command -v {program}) XDG_CONFIG_HOME=${{0%/*}}/config XDG_DATA_HOME=${{0%/*}}/data
export SHELL XDG_CONFIG_HOME XDG_DATA_HOME
[ -n "${{SSH_ORIGINAL_COMMAND+x}}" ] || exec "$SHELL"
exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"
"""


MOTD = "Welcome to this node.\n\t* updates: 3 (2 of them security)\n"
# A command runs under each of them, and what it prints is its own.
SHELLS = {program: login(program) for program in ("sh", "bash", "tcsh", "fish")}
# A command runs, among what nobody asked for.
NOISY = {
    "motd": f"printf '{MOTD}'\n" + RUN,
    "rc that complains": "echo '/etc/profile: line 7: lolcat: command not found' >&2\n" + RUN,
    "no newline at the end": "printf 'Last login: today'\n" + RUN,
    "bytes that are no text": "printf '\\033[2J\\377\\000\\r\\n'\n" + RUN,
    "flood": "yes motd | head -c 3000000; yes error | head -c 3000000 >&2\n" + RUN,
}
# No command runs, and the connection ends.
CLOSED = {
    "nologin": "exec /usr/sbin/nologin\n",
    "false": "exec false\n",
    "expired": "echo 'WARNING: Your password has expired.' >&2; exit 1\n",
    "lacks": "exec /usr/bin/a-shell-that-is-not-here\n",
}
# No command runs, and nothing ends by itself.
ENDLESS = {"mute": "exec sleep 1000\n", "endless": "exec yes\n"}


def on_path(folder: Path, shell: str = RUN) -> str:
    """A node whose programs are those of this folder alone."""
    return f"PATH={shlex.quote(str(folder))}; export PATH\n{shell}"


def busybox(folder: Path) -> Path:
    """For `on_path`: all programs are BusyBox's."""
    folder.mkdir(parents=True)
    subprocess.run(["busybox", "--install", "-s", str(folder)], check=True)
    return folder


def tools(folder: Path, without: tuple[str, ...]) -> Path:
    """For `on_path`: what is on this machine, without some programs."""
    folder.mkdir(parents=True)
    found = [Path(place) for place in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")]
    for program in (program for place in found for program in place.iterdir()):
        with suppress(FileExistsError):
            if program.name not in without:
                (folder / program.name).symlink_to(program)
    return folder


def no_file_over(kilobytes: int, shell: str = RUN) -> str:
    """For any user: a longer file fails with EFBIG, or SIGXFSZ where that is not ignored, as with a quota of files."""
    return f"ulimit -f $(({kilobytes} * 2)) # blocks of 512 bytes, says POSIX\n{shell}"


class Disk(NamedTuple):
    """`folder` as the node names it, `seen` the same as a test does. The shell of a server that has it: `on(shell)`."""

    folder: Path
    seen: Path
    holder: int | None = None

    def on(self, shell: str = RUN) -> str:
        if self.holder is None:
            return shell
        enter = f"nsenter --preserve-credentials -U -m -t {self.holder}"
        # The same script again, inside; the folder that it begins in is lost on the way.
        return f"""[ -n "$ON_SMALL_DISK" ] || ON_SMALL_DISK=1 exec {enter} sh "$0"
unset ON_SMALL_DISK
cd || :
{shell}"""


@contextmanager
def small_disk(folder: Path, megabytes: float, options: str = "mode=0755") -> Iterator[Disk]:
    """A file system of that size; `options` are those of tmpfs (`noexec`, `ro`, `nr_inodes=50`).

    Root mounts it. Any other user has it in a namespace of mounts that only sessions of `Disk.on` enter. Where
    neither is allowed (containers; Ubuntu 24.04 for users) the test is skipped, and `no_file_over` is what is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 1024)}k,{options}", "tmpfs", str(folder)]
    told = subprocess.run(mount, capture_output=True, text=True, check=False)
    if told.returncode == 0:
        try:
            yield Disk(folder, folder)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    inside = ["unshare", "--map-current-user", "--keep-caps", "--mount"]
    script = f"{shlex.join(mount)} && echo ready && exec sleep 3600"
    with subprocess.Popen([*inside, "sh", "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        try:
            if holder.stdout.readline() != "ready\n":
                pytest.skip(f"no file system can be mounted here: {told.stderr.strip()}")
            yield Disk(folder, Path(f"/proc/{holder.pid}/root{folder}"), holder.pid)
        finally:
            holder.kill()


# -- for tests -----------------------------------------------------------------------------------------------


class Farm:
    """`farm()` is a new server with the arguments of `Sshd`, each in a folder of its own; `end` ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Sshd] = []

    def __call__(self, *words: Any, **keys: Any) -> Sshd:
        folder = self.folder / f"sshd-{len(self.servers) + 1}"
        self.servers.append(Sshd(folder, *words, **keys))
        return self.servers[-1]

    def end(self) -> None:
        for server in self.servers:
            server.end()


@contextmanager
def farm(folder: Path) -> Iterator[Farm]:
    made = Farm(folder)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Farm]:
    """A test module takes it with `sshd = sshds.sshd`."""
    with farm(tmp_path) as made:
        yield made
