"""Real dumps of a small real database, one for each way in which pg_dump writes; made once, in a cluster that ends."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

TABLES = """
create table people (id int primary key, name text);
insert into people select g, md5(g::text) from generate_series(1, 20000) g;
create table empty_one (id int);
create table backslashes (t text);
insert into backslashes values (E'\\\\.'), (E'--\\n-- PostgreSQL database dump complete\\n--'), (E'-- PostgreSQL database dump complete');
create view v as select count(*) from people;
create function f() returns int language sql as 'select 1';
select lo_from_bytea(0, 'a large object'::bytea);
select lo_from_bytea(0, decode(repeat('00', 40000), 'hex'));
"""
# As pg_dump has it: the ways in which it writes, by name of the file that comes of it.
WAYS = {
    "plain.sql": ["-Fp"],
    "verbose.sql": ["-Fp", "-v"],
    "schema.sql": ["-Fp", "-s"],
    "inserts.sql": ["-Fp", "--inserts", "--create", "--clean"],
    "custom.dump": ["-Fc"],
    "stored.dump": ["-Fc", "-Z0"],
    "schema.dump": ["-Fc", "-s"],
    "data.dump": ["-Fc", "-a"],
    "tar.tar": ["-Ft"],
    "folder": ["-Fd"],
    "stored.folder": ["-Fd", "-Z0", "-j2"],
}


def program(name):
    """One of PostgreSQL's own, of one version all: also where Debian hides them."""
    hidden = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    found = shutil.which(name, path=os.pathsep.join([*map(str, hidden), os.environ["PATH"]]))
    assert found, f"{name} is not here: apt-get install postgresql"
    return found


class Cluster:
    """It listens on a socket in `folder` and nowhere else."""

    def __init__(self, folder):
        self.folder = folder
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        self.run(
            "initdb",
            "-D",
            f"{folder}/data",
            "-A",
            "trust",
            "-N",
            "-U",
            "postgres",
            "--no-locale",
            "-E",
            "UTF8",
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        self.run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", options, "start")

    def run(self, name, *words, **keys):
        mine = os.geteuid() == 0 and name in {"initdb", "pg_ctl"}
        argv = [
            *(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if mine else []),
            program(name),
        ]
        env = {"PATH": os.environ["PATH"], "PGHOST": str(self.folder), "PGUSER": "postgres", "LC_ALL": "C"}
        return subprocess.run([*argv, *words], cwd="/", env=env, check=True, capture_output=True, **keys)

    def end(self):
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")


@contextmanager
def cluster():
    """In a folder of its own: that of the tests is closed to user postgres, and its path too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="sando-pg-") as folder:
        made = Cluster(Path(folder))
        try:
            yield made
        finally:
            made.end()


def make(into):
    """Every way's dump in the folder `into`."""
    with cluster() as server:
        server.run("createdb", "app")
        server.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "app", "-c", TABLES)
        for name, words in WAYS.items():
            server.run("pg_dump", *words, "-f", str(into / name), "app")
        piped = server.run("pg_dump", "-Fc", "app").stdout  # to a pipe: nothing can be written twice
        (into / "piped.dump").write_bytes(piped)
        (into / "cluster.sql").write_bytes(server.run("pg_dumpall").stdout)
    return into


@pytest.fixture(scope="session")
def dumps(tmp_path_factory):
    """A test module takes it with `dumps = dumps.dumps`."""
    return make(tmp_path_factory.mktemp("dumps"))
