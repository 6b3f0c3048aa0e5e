"""The private PostgreSQL cluster: made once, kept between runs, its server alive only while a job runs.

Its folder may lie where the server's own account cannot reach it (a `workdir` of root): the server gets it as a
descriptor. The server listens on a Unix socket alone, and knows two roles with random passwords.
"""

import contextlib
import json
import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sando.model.errors import WorkError
from sando.work.account import Account, account_of
from sando.work.keeper import FOLDER
from sando.work.log import OpLog, tail
from sando.work.process import Running
from sando.work.scratch import stray
from sando.work.scratch.client import Place, lines, told
from sando.work.scratch.job import Job
from sando.work.scratch.programs import Programs
from sando.work.tree import remove_tree

ADMIN = "sando_admin"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 107
_START_S = 30.0
_STOP_S = 20.0
_LOOK_S = 0.005
# Nothing in it is worth a write to the disk: after a crash it is made anew.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0777",  # the password decides, and the folders above
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",  # in its folder, so that nothing is left when it is killed
    "maintenance_work_mem": "128MB",
    "max_locks_per_transaction": "1024",  # a dump is restored in one transaction
    "cluster_name": "sando-scratch",
    "lc_messages": "C",
    "log_timezone": "UTC",
}


class Cluster:
    """In `folder`: `data` and `run` (the socket) of the server, `passwords`, and `whole`, there when it was stopped well."""

    def __init__(self, folder: Path, programs: Programs, job: Job) -> None:
        self.folder = folder
        self.programs = programs
        self.admin = ""
        self.password = ""
        self._job = job
        self._account = _server_account(job)
        self._whole = folder / "whole"
        self._log = OpLog(folder / "server.log", 4 * 2**20)

    @contextmanager
    def running(self) -> Iterator[Path]:
        """The folder of the socket of a running server; nothing of the server is alive afterwards."""
        kept = self._kept()
        if not kept:
            self._make()
        try:
            server = self._start()
        except WorkError:
            if not kept:
                raise
            self._job.say("scratch: the private cluster is damaged, it is made anew")
            self._make()
            server = self._start()
        drop = self._job.cancel.on_cancel(lambda: server.ask_end(_STOP_S))
        try:
            with self._reachable() as socket:
                yield socket
        finally:
            drop()
            self._stop(server)

    @property
    def fresh(self) -> bool:
        """Whether it will be made anew: then no database of a former run is in it."""
        return not self._kept()

    # -- making ------------------------------------------------------------------------------------------------------

    def _kept(self) -> bool:
        """Whether what lies there can be used; a cluster that was not stopped well is not."""
        try:
            self.admin, self.password = json.loads((self.folder / "passwords").read_text("ascii"))
        except (OSError, ValueError):
            return False
        return self._whole.exists() and made_by(self.folder) == self.programs.major

    def _make(self) -> None:
        self._job.say(f"scratch: make a private cluster of {self.programs}")
        stray.bury(self.folder / "data")
        remove_tree(self.folder)
        self.folder.mkdir(mode=0o711, parents=True)
        for name in ("data", "run"):
            (self.folder / name).mkdir(mode=0o711 if name == "run" else 0o700)
            self._give(self.folder / name)
        self.admin, self.password = secrets.token_hex(24), secrets.token_hex(24)
        _write(self.folder / "passwords", json.dumps([self.admin, self.password]))
        secret = self.folder / "run" / "password"
        _write(secret, self.admin)
        self._give(secret)
        if not self._initdb("C.UTF-8"):
            remove_tree(self.folder / "data")
            (self.folder / "data").mkdir(mode=0o700)
            self._give(self.folder / "data")
            if not self._initdb("C"):
                raise self._job.cannot(f"initdb failed: {self._said()}", tail(self._log.path))
        secret.unlink()

    def _initdb(self, locale: str) -> bool:
        argv = [
            self.programs.path("initdb"), "-D", f"{FOLDER}/data", "-U", ADMIN, "-E", "UTF8", f"--locale={locale}", "-N",
            "-A", "scram-sha-256", f"--pwfile={FOLDER}/run/password",
        ]  # fmt: skip
        made = self._spawn(argv)
        while (ended := made.wait(min(1.0, self._left(made)))) is None:
            pass
        return ended.ok

    def _give(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.user, self._account.group)

    # -- starting and stopping ---------------------------------------------------------------------------------------

    def _start(self) -> Running:
        self._whole.unlink(missing_ok=True)
        self._log.path.unlink(missing_ok=True)
        settings = SETTINGS | {"unix_socket_directories": f"{FOLDER}/run"}
        argv = [self.programs.path("postgres"), "-D", f"{FOLDER}/data"]
        server = self._spawn(
            [*argv, *(word for key, value in settings.items() for word in ("-c", f"{key}={value}"))]
        )
        until = self._job.left() - _START_S
        while not self._ready(server):
            if self._left(server) < until:
                server.end(0.0)
                raise self._job.cannot(
                    f"the private cluster was not ready within {_START_S:g}s: {self._said()}"
                )
            if server.wait(_LOOK_S):
                raise self._job.cannot(
                    f"the private cluster does not start: {self._said()}", tail(self._log.path)
                )
        return server

    def _ready(self, server: Running) -> bool:
        """The server writes into its pid file that it is ready, as pg_ctl reads it."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            said = (self.folder / "data" / "postmaster.pid").read_text("utf-8", "replace").splitlines()
            return int(said[0]) == server.pid and said[7].strip() == "ready"
        return False

    def _stop(self, server: Running) -> None:
        """A fast shutdown; only what was stopped well is used again."""
        if server.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(server.pid, signal.SIGINT)
            server.wait(_STOP_S)
        ended = server.end(0.0)
        if ended.code == 0:
            self._whole.touch()

    def _spawn(self, argv: list[str]) -> Running:
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        return self._job.keepers.spawn(
            argv,
            cwd="/",
            env=env,
            log=self._log,
            step=self._job.step,
            folder=self.folder,
            account=self._account,
        )

    def _left(self, running: Running) -> float:
        """The job's time; what was started is ended before it raises."""
        try:
            return self._job.left()
        except BaseException:
            running.end(0.0)
            raise

    def _said(self) -> str:
        return str(told([line.partition("] ")[2] or line for line in lines(self._log, 0)]))

    # -- the way to its socket ---------------------------------------------------------------------------------------

    @contextmanager
    def _reachable(self) -> Iterator[Path]:
        """The folder of the socket under a name that is short enough for a socket's address."""
        run = self.folder / "run"
        if len(os.fsencode(run / _SOCKET)) <= _SOCKET_PATH_BYTES:
            yield run
            return
        note = self.folder / "alias"
        with contextlib.suppress(OSError):  # of a run that was killed
            _remove_alias(Path(note.read_text("utf-8")))
        folder = Path(tempfile.mkdtemp(prefix="sando-", dir="/tmp"))  # its name must be short
        try:
            note.write_text(str(folder), "utf-8")
            folder.chmod(0o711)
            (folder / "s").symlink_to(run)
            yield folder / "s"
        finally:
            _remove_alias(folder)


def made_by(folder: Path) -> int:
    """The major version of PostgreSQL that made the cluster there; 0 where there is none."""
    try:
        return int((folder / "data" / "PG_VERSION").read_text("ascii"))
    except (OSError, ValueError):
        return 0


def place_of(socket: Path, user: str, password: str, database: str) -> Place:
    return Place(
        host=str(socket), port=5432, user=user, password=password, database=database, within="cluster/run"
    )


def _server_account(job: Job) -> Account | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    found = account_of("postgres")
    if found is None:
        raise job.cannot(
            "sandod runs as root, and there is no user postgres for the scratch cluster: make one"
        )
    return found


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)


def _remove_alias(folder: Path) -> None:
    """A folder of our own with one link in it; whatever else bears that name now is left alone."""
    if folder.name.startswith("sando-") and folder.lstat().st_uid == os.geteuid() and not folder.is_symlink():
        (folder / "s").unlink(missing_ok=True)
        folder.rmdir()
