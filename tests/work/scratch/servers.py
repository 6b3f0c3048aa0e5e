"""Real PostgreSQL servers for the tests, on loopback and in folders of their own; nothing outlives `end`."""

import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from sando.work.account import account_of
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Keepers
from sando.work.scratch.programs import SERVER, Programs, find
from tests.work.wild import until

ADMIN, PASSWORD = "postgres", "of the administrator"
_STATEMENT = re.compile(r"^(?P<database>\S*)\|(?P<role>\S*)\|LOG:  (?:statement|execute [^:]*): (?P<sql>.*)")


def programs() -> Programs:
    found = find(SERVER, 0, CancelToken())
    assert found, "the tests need PostgreSQL: apt-get install postgresql"
    return found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Said(NamedTuple):
    """A statement that the server has run."""

    database: str
    role: str
    sql: str


class Server:
    """It listens on 127.0.0.1 and on a socket, wants a password, and writes down every statement."""

    def __init__(self, folder: Path, keepers: Keepers) -> None:
        self.folder = folder
        self.programs = programs()
        self._keepers = keepers
        self._log = OpLog(folder / "log")
        self._account = account_of("postgres") if os.geteuid() == 0 else None
        self.port = 0

    @classmethod
    def start(cls, folder: Path, keepers: Keepers, **settings: str) -> Self:
        folder.mkdir()
        (folder / "password").write_text(PASSWORD)
        server = cls(folder, keepers)
        for path in (folder, folder / "password"):
            if server._account:
                os.chown(path, server._account.user, server._account.group)
        made = server._spawn("initdb", "-D", "{folder}/data", "-U", ADMIN, "-E", "UTF8", "--locale=C", "-N",
                             "-A", "scram-sha-256", "--pwfile={folder}/password")  # fmt: skip
        assert made.wait(60).ok, server._log.path.read_text()
        for _ in range(3):  # another one may take the port meanwhile
            server.port = _free_port()
            if server._comes_up(settings):
                return server
        raise AssertionError(server._log.path.read_text())

    def _comes_up(self, more: dict[str, str]) -> bool:
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "{folder}",
            "fsync": "off", "log_statement": "all", "log_line_prefix": "%d|%u|", "autovacuum": "off",
        } | more  # fmt: skip
        words = (word for key, value in settings.items() for word in ("-c", f"{key}={value}"))
        self.running = self._spawn("postgres", "-D", "{folder}/data", *words)
        until(lambda: self.running.poll() is not None or self._ready())
        return self.running.poll() is None

    def _ready(self) -> bool:
        said = folder_text(self.folder / "data" / "postmaster.pid").splitlines()
        return len(said) > 7 and said[7].strip() == "ready"

    def _spawn(self, name: str, *words: str):
        return self._keepers.spawn(
            [self.programs.path(name), *words], cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, log=self._log,
            step="server", folder=self.folder, account=self._account,
        )  # fmt: skip

    def end(self) -> None:
        if self.running.poll() is None:
            os.kill(self.running.pid, signal.SIGINT)
            self.running.wait(20)
        self.running.end(0.0)

    # -- what the tests ask of it ------------------------------------------------------------------------------------

    def env(self, database: str = "postgres", role: str = ADMIN, password: str = PASSWORD) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin", "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": role, "PGPASSWORD": password,
            "PGDATABASE": database, "LC_ALL": "C", "HOME": "/nonexistent", "PGCLIENTENCODING": "UTF8",
        }  # fmt: skip

    def run(self, name: str, *words: str, database: str = "postgres", **options: object) -> bytes:
        done = subprocess.run(
            [self.programs.path(name), *words],
            env=self.env(database),
            check=False,
            capture_output=True,
            timeout=60,
            **options,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def sql(self, *texts: str, database: str = "postgres") -> list[str]:
        """Run as administrator, each text in a transaction of its own; the rows of all."""
        words = [word for text in texts for word in ("-c", text)]
        return (
            self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *words, database=database)
            .decode()
            .splitlines()
        )

    def session(
        self, database: str, text: str, role: str = "sando", password: str = "sesame"
    ) -> subprocess.Popen:
        """A psql that has run the text, and then stays connected."""
        argv = [self.programs.path("psql"), "-XqAt", "-c", text, "-c", "SELECT pg_sleep(600)"]
        psql = subprocess.Popen(argv, env=self.env(database, role, password), stderr=subprocess.DEVNULL)
        sleeping = f"SELECT 1 FROM pg_stat_activity WHERE usename = '{role}' AND query LIKE '%pg_sleep(600)%'"
        until(lambda: self.sql(sleeping))
        return psql

    def url(self, database: str, role: str = "sando", password: str = "sesame") -> str:
        return f"postgres://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def dump(self, database: str, *words: str) -> bytes:
        return self.run("pg_dump", *words, database=database)

    @contextmanager
    def listening(self):
        """The statements that others than the administrator run meanwhile."""
        begun, said = self._log.size(), []
        yield said
        for line in self._log.path.read_bytes()[begun:].decode().splitlines():
            if (found := _STATEMENT.match(line)) and found["role"] != ADMIN:
                said.append(Said(found["database"], found["role"], found["sql"]))
            elif line.startswith("\t") and said:
                said[-1] = said[-1]._replace(sql=said[-1].sql + "\n" + line[1:])


def folder_text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
