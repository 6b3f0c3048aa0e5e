"""Opens the scratch database, empty and ours, or as a rehearsal left it. Whoever gets one got it here.

Two jobs never hold it at once; what a killed one left (a dead server, a lock, half a restore) hinders nobody.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sando.model.scratch import scratch_of
from sando.work.scratch import claim, questions, whereabouts
from sando.work.scratch.client import SESSION, Client
from sando.work.scratch.cluster import ADMIN, Cluster, made_by
from sando.work.scratch.cluster import place_of as place_in_cluster
from sando.work.scratch.job import Job
from sando.work.scratch.programs import CLIENT, SERVER, Programs, find
from sando.work.tree import remove_tree

ROLE = "sando"
DATABASE = "sando_scratch"
_CLUSTER = "cluster"
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Where:
    """`folder` belongs to the scratch database alone; with a `url` (already valid) that server is used."""

    folder: Path
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Scratch:
    """An open scratch database. `admin` is there where the server is a private one."""

    client: Client
    admin: Client | None
    url: str
    """For what boots: DATABASE_URL."""

    @property
    def major(self) -> int:
        return self.client.version // 10000


def programs_for(where: Where, least: int, job: Job) -> Programs | None:
    """The programs that it takes; None: PostgreSQL is not installed and no server was named."""
    found = find(CLIENT if where.url else SERVER, least, job.cancel)
    if found is None and where.url:
        raise job.cannot("psql is not installed here: install it (Debian: apt-get install postgresql-client)")
    return found


@contextmanager
def emptied(where: Where, least: int, job: Job) -> Iterator[Scratch]:
    """The scratch database with nothing in it, of PostgreSQL `least` or above where there is a choice.

    WorkError (errored) when there is none that may be emptied.
    """
    programs = programs_for(where, least, job)
    if programs is None:
        raise job.cannot("PostgreSQL is not installed here: install it (Debian: apt-get install postgresql)")
    with _alone(where, job):
        _note(where).unlink(missing_ok=True)
        if where.url:
            yield _emptied_server(where, where.url, programs, job)
            return
        cluster = Cluster(where.folder / _CLUSTER, programs, job)
        with cluster.running() as socket:
            admin = _admin(where, cluster, socket, job)
            admin.ask(questions.make(ROLE, DATABASE))
            scratch = _private(where, cluster, socket, admin, job)
            claim.claim(scratch.client, _owner(where), job)
            yield scratch


@contextmanager
def kept(where: Where, version: str, sha: str, job: Job) -> Iterator[Scratch | None]:
    """The scratch database as the rehearsal of this very version left it; None: it was another's, or there is none."""
    programs = programs_for(where, 0 if where.url else made_by(where.folder / _CLUSTER), job)
    with _alone(where, job):
        if programs is None or not is_rehearsed(where, version, sha):
            yield None
        elif where.url:
            client = _server(where, where.url, programs, job)
            yield Scratch(client, None, where.url) if claim.find(client, _owner(where), job) else None
        else:
            with _kept_cluster(where, programs, job) as scratch:
                yield scratch


def remember(where: Where, version: str, sha: str) -> None:
    """What is in the scratch database now is the rehearsal of this version."""
    _replace(_note(where), json.dumps([version, sha, _which(where)]))


def is_rehearsed(where: Where, version: str, sha: str) -> bool:
    """Whether what it holds is the rehearsal of this version, as far as is known without opening it."""
    try:
        return bool(json.loads(_note(where).read_text("utf-8")) == [version, sha, _which(where)])
    except (OSError, ValueError):
        return False


@contextmanager
def _kept_cluster(where: Where, programs: Programs, job: Job) -> Iterator[Scratch | None]:
    cluster = Cluster(where.folder / _CLUSTER, programs, job)
    if cluster.fresh:
        yield None
        return
    with cluster.running() as socket:
        admin = _admin(where, cluster, socket, job)
        scratch = _private(where, cluster, socket, admin, job)
        yield scratch if claim.find(scratch.client, _owner(where), job) else None


# -- the server of scratch_db_url ----------------------------------------------------------------------------------


def _server(where: Where, url: str, programs: Programs, job: Job) -> Client:
    return Client(programs, whereabouts.place_of(scratch_of(url), job), where.folder, job)


def _emptied_server(where: Where, url: str, programs: Programs, job: Job) -> Scratch:
    client = _server(where, url, programs, job)
    sight = claim.claim(client, _owner(where), job)
    server = f"{sight.address or client.place.host}:{sight.port or client.place.port}"
    job.say(
        f"scratch: database {sight.database} of PostgreSQL {sight.version // 10000} at {server}, as {sight.role}"
    )
    claim.wipe(client, sight, job)
    return Scratch(client, None, url)


# -- the private cluster -------------------------------------------------------------------------------------------


def _admin(where: Where, cluster: Cluster, socket: Path, job: Job) -> Client:
    place = place_in_cluster(socket, ADMIN, cluster.admin, "postgres")
    return Client(cluster.programs, place, where.folder, job)


def _private(where: Where, cluster: Cluster, socket: Path, admin: Client, job: Job) -> Scratch:
    """As the weak role, which gets a new password each time: what a migration has done to the old one is no matter."""
    password = secrets.token_hex(24)
    admin.ask(questions.set_password(ROLE, password))
    place = place_in_cluster(socket, ROLE, password, DATABASE)
    url = f"postgres://{ROLE}:{password}@{quote(str(socket), safe='')}/{DATABASE}"
    return Scratch(Client(cluster.programs, place, where.folder, job), admin, url)


# -- what lies in the folder ---------------------------------------------------------------------------------------


@contextmanager
def _alone(where: Where, job: Job) -> Iterator[None]:
    """Nobody else holds the scratch database, and there is a folder for the files of this session."""
    where.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    fd = os.open(where.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, job)
        session = where.folder / SESSION
        remove_tree(session)
        session.mkdir(mode=0o711)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                remove_tree(session)
    except OSError as error:
        raise job.cannot(f"cannot use {error.filename or where.folder}: {error.strerror}") from error
    finally:
        os.close(fd)


def _lock(fd: int, job: Job) -> None:
    told = False
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if not told:
            job.say("scratch: another job holds the scratch database, wait for it")
            told = True
        job.cancel.wait(min(_LOOK_S, job.left()))


def _owner(where: Where) -> str:
    """The name of this sandod's state, made once: two that share a server cannot take each other's database."""
    path = where.folder / "id"
    with contextlib.suppress(FileNotFoundError):
        if name := path.read_text("ascii").strip():
            return name
    name = secrets.token_hex(8)
    _replace(path, name)
    return name


def _which(where: Where) -> str:
    return str(scratch_of(where.url)) if where.url else "private"


def _note(where: Where) -> Path:
    return where.folder / "rehearsed"


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, "utf-8")
    beside.replace(path)
