"""THE choke point: the only place that starts psql and pg_restore. Each session of psql first proves where it is.

libpq is told everything and finds nothing by itself: none of sandod's `PG*`, no service file, no passwords and
certificates of sandod's user. A password travels in the environment of the child, never in an argv. A psql that is
given somebody's SQL can start no process, and is not root: there are commands that it would run.
"""

import contextlib
import os
import secrets
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sando.work.account import account_of
from sando.work.keeper import FOLDER
from sando.work.log import OpLog
from sando.work.process import Exit, Running
from sando.work.scratch.complaint import Complaint, complaint
from sando.work.scratch.job import Job
from sando.work.scratch.programs import Programs
from sando.work.scratch.questions import SETTINGS
from sando.work.scratch.said import Said, known_as, renamed

SESSION = "session"
_GRACE_S = 1.0
_WATCH_S = 0.25
# A lock, or a transaction in which nothing happens: in a database of its own nobody waits that long.
_SESSION_S = 60.0
# Whatever psql would put in place of `:name`; what a script says must not depend on it.
_VARIABLES = ("DBNAME", "USER", "HOST", "PORT", "ENCODING", "SERVICE", "VERSION", "VERSION_NAME", "VERSION_NUM",
              "SERVER_VERSION_NAME", "SERVER_VERSION_NUM", "PROMPT1", "PROMPT2", "PROMPT3", "HISTFILE", *SETTINGS)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """One database of one server, as one role."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    address: str = ""
    """Of the host: what was looked at once is what is spoken to afterwards."""
    within: str = ""
    """Of a socket of our own: its folder as any account reaches it, from the folder of the scratch database."""
    sslmode: str = "prefer"
    connect_timeout: int = 10


class Client:
    """Everything that reaches one database; files are kept in the folder `SESSION` of `base`."""

    def __init__(self, programs: Programs, place: Place, base: Path, job: Job) -> None:
        self.programs = programs
        self.place = place
        self.guard = ""  # a script that fails unless the session is in the right database
        self.version = 0  # of the server, as in server_version_num; 0 while it has not been asked
        self.folder = base / SESSION
        self._base = base
        self._other = (
            account_of("nobody") if os.geteuid() == 0 else None
        )  # who owns nothing, not even a cluster
        self._job = job

    def beside(self, database: str) -> "Client":
        """The same role in another database of the same server, without a guard: for a cluster of our own."""
        return Client(self.programs, replace(self.place, database=database), self._base, self._job)

    def ask(self, script: str) -> list[str]:
        """Run a script of our own and answer its rows, columns apart by `|`. WorkError (errored) says what failed."""
        answer = OpLog(self.folder / "answer")
        answer.path.unlink(missing_ok=True)
        words = [*self._psql(), "-f", self.file("ask.sql", self.guard + script)]
        ended, said = self.wait(self._spawn(words, answer), answer, 0)
        answer.path.unlink(missing_ok=True)
        if not ended.ok:
            why = renamed(str(told(said) or ended).encode()).decode()
            raise self._job.cannot(f"{self._name()}: {why}")
        return [line for line in said if line]

    def psql(
        self, words: Sequence[str], *, restricted: bool, stdin: int | None = None, name: str = ""
    ) -> Said:
        """Start psql on somebody's SQL; its output goes to the log. Restricted, it runs no backslash command of it.

        `name` is what the file that is its stdin is called there.
        """
        prelude = self.guard + "".join(f"\\unset {name}\n" for name in _VARIABLES)
        if restricted:
            prelude += f"\\restrict {secrets.token_hex(16)}\n"
        first = ["-o", os.devnull, "-f", self.file("prelude.sql", prelude)]
        return self._telling([*self._psql(), *first, *words], stdin, name, confined=True)

    def pg_restore(self, words: Sequence[str], stdin: int, name: str) -> Said:
        """Start pg_restore into the database; the archive is its stdin, under a name that it can open again."""
        argv = [self.programs.path("pg_restore"), "-d", self.place.database, *words, "/proc/self/fd/0"]
        return self._telling(argv, stdin, name)

    def read_archive(self, words: Sequence[str], stdin: int, name: str) -> list[str]:
        """What pg_restore says of an archive without any database; WorkError (errored) where it cannot read it."""
        answer = OpLog(self.folder / "answer", 256 * 2**20)
        answer.path.unlink(missing_ok=True)
        argv = [self.programs.path("pg_restore"), *words, "/proc/self/fd/0"]
        ended, said = self.wait(self._spawn(argv, answer, stdin), answer, 0)
        answer.path.unlink(missing_ok=True)
        if not ended.ok:
            said = [renamed(line.encode(), known_as(name)).decode() for line in said]
            raise self._job.cannot(f"the backup cannot be read: {told(said) or ended}")
        return said

    def wait(self, running: Running | Said, log: OpLog, offset: int) -> tuple[Exit, list[str]]:
        """Wait for its end within the job's time: how it ended, and its output in the log from `offset`."""
        drop = self._job.cancel.on_cancel(lambda: running.ask_end(_GRACE_S))
        try:
            while (ended := running.wait(min(_WATCH_S, self._job.left()))) is None:
                pass
        except BaseException:
            running.end(0.0)
            raise
        finally:
            drop()
        self._job.cancel.check()
        return ended, lines(log, offset)

    def file(self, name: str, text: str) -> str:
        """A file for the words of `psql` and `pg_restore`, as these are to name it; it goes with the session."""
        path = self.folder / f"{secrets.token_hex(4)}-{name}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        if self._other:
            os.chown(path, self._other.user, self._other.group)
        return f"{FOLDER}/{SESSION}/{path.name}"

    def _name(self) -> str:
        return f"scratch database {self.place.database} on {self.place.host}"

    def _psql(self) -> list[str]:
        quiet = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
        return [self.programs.path("psql"), *quiet]

    def _telling(self, argv: Sequence[str], stdin: int | None, name: str, *, confined: bool = False) -> Said:
        """What it says goes to the log of the job by way of a file of its own."""
        own = OpLog(self.folder / f"{secrets.token_hex(4)}-said")
        return Said(self._spawn(argv, own, stdin, confined=confined), own, self._job.log, known_as(name))

    def _spawn(
        self, argv: Sequence[str], log: OpLog, stdin: int | None = None, *, confined: bool = False
    ) -> Running:
        self._job.left()
        place = replace(self.place, host=f"{FOLDER}/{self.place.within}") if self.place.within else self.place
        return self._job.keepers.spawn(
            argv, cwd="/", env=libpq_env(place, f"{FOLDER}/{SESSION}", self._options()), log=log, step=self._job.step,
            stdin=stdin, folder=self._base, account=self._other if confined else None, alone=confined,
        )  # fmt: skip

    def _options(self) -> dict[str, object]:
        """Limits for each session, whatever a former one has set for the role; where it can, the server itself notices that
        psql is gone.
        """
        options: dict[str, object] = {
            "statement_timeout": max(1, int(self._job.left() * 1000)),
            "lock_timeout": int(_SESSION_S * 1000),
            "idle_in_transaction_session_timeout": int(_SESSION_S * 1000),
            "client_min_messages": "warning",
            "standard_conforming_strings": "on",
            "default_transaction_read_only": "off",
        }
        return options | ({"client_connection_check_interval": 1000} if self.version >= 140000 else {})


def libpq_env(place: Place, home: str, options: Mapping[str, object]) -> dict[str, str]:
    """The whole environment of a child that speaks libpq: what is not named here does not exist for it."""
    nowhere = f"{home}/none"
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": home, "TMPDIR": home,
        "PGHOST": place.host, "PGPORT": str(place.port), "PGUSER": place.user, "PGDATABASE": place.database,
        "PGSSLMODE": place.sslmode, "PGCONNECT_TIMEOUT": str(place.connect_timeout), "PGGSSENCMODE": "disable",
        "PGAPPNAME": "sando", "PGCLIENTENCODING": "UTF8", "PGSYSCONFDIR": nowhere, "PGSERVICEFILE": nowhere,
        "PGPASSFILE": nowhere, "PGSSLCERT": nowhere, "PGSSLKEY": nowhere, "PGSSLCRL": nowhere,
        "PGSSLROOTCERT": _authorities() if place.sslmode.startswith("verify") else nowhere,
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in options.items()),
    }  # fmt: skip
    more = {"PGPASSWORD": place.password, "PGHOSTADDR": place.address}
    return env | {name: value for name, value in more.items() if value}


def _authorities() -> str:
    """Whom a `verify` trusts: the person's own root.crt, where libpq looks for it, else the machine's."""
    own = Path("~/.postgresql/root.crt").expanduser()
    found = str(own) if own.is_file() else ssl.get_default_verify_paths().cafile
    return found or "/etc/ssl/certs/ca-certificates.crt"


def lines(log: OpLog, offset: int) -> list[str]:
    """The lines of a log from `offset` on (the last 16 MiB of them), without those of sando itself."""
    with contextlib.suppress(OSError), log.path.open("rb") as file:
        file.seek(max(offset, log.size() - 2**24))
        return [x for x in file.read().decode("utf-8", "replace").split("\n") if not x.startswith("sando: ")]
    return []


def told(said: Sequence[str]) -> Complaint | str:
    """The error in some output, or its last line."""
    return complaint(said) or next((line.strip()[:400] for line in reversed(said) if line.strip()), "")
