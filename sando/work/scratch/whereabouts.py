"""Where the server of `scratch_db_url` is, to the address; what is looked up once is what is spoken to afterwards."""

import os
import pwd
import socket
from pathlib import Path

from sando.model.scratch import ScratchUrl
from sando.work.scratch.client import Place
from sando.work.scratch.job import Job

_SOCKETS = ("/run/postgresql", "/var/run/postgresql", "/tmp")  # noqa: S108  (where PostgreSQL and Debian's put theirs)


def place_of(url: ScratchUrl, job: Job) -> Place:
    """WorkError (errored) when nobody listens there."""
    host, address = url.host, ""
    if not host:
        host = _socket(url, job)
    elif not host.startswith("/"):
        address = _address(url, job)
    user = url.user or pwd.getpwuid(os.geteuid()).pw_name
    return Place(
        host,
        url.port,
        user,
        url.password,
        url.database,
        address=address,
        sslmode=url.sslmode,
        connect_timeout=url.connect_timeout,
    )


def _socket(url: ScratchUrl, job: Job) -> str:
    for folder in _SOCKETS:
        if Path(folder, f".s.PGSQL.{url.port}").exists():
            return folder
    raise job.cannot(
        f"scratch_db_url {url}: no server listens on a socket of this machine; name its host in the URL"
    )


def _address(url: ScratchUrl, job: Job) -> str:
    try:
        with socket.create_connection((url.host, url.port), min(url.connect_timeout, job.left())) as sock:
            return str(sock.getpeername()[0])
    except OSError as error:
        raise job.cannot(f"scratch_db_url {url}: cannot connect: {error.strerror or error}") from error
