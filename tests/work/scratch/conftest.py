"""One server for all tests of a worker, with a canary that nobody may touch; and keepers of their own."""

import shutil
import tempfile
from pathlib import Path

import pytest

from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.scratch import opening
from sando.work.scratch.job import Job
from sando.work.scratch.opening import Where
from sando.work.tree import remove_tree
from tests.work.conftest import small_keepers
from tests.work.scratch import shops
from tests.work.scratch.servers import Server

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30


@pytest.fixture(scope="session")
def memory(tmp_path_factory):
    """For clusters: each database is three hundred files, and a disk takes longer to make them than PostgreSQL to fill them."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        folder = Path(tempfile.mkdtemp(prefix="sando-", dir=MEMORY))
    else:
        folder = tmp_path_factory.mktemp("memory")
    yield folder
    remove_tree(folder)


@pytest.fixture(scope="session")
def keepers():
    made = small_keepers()
    yield made
    made.close()


@pytest.fixture(scope="session")
def server(memory, keepers):
    """`prod`, with a canary, belongs to somebody; `sando` may connect there, as roles may by default."""
    server = Server.start(memory / "server", keepers)
    server.sql(
        "CREATE ROLE sando LOGIN PASSWORD 'sesame'", "CREATE ROLE app LOGIN PASSWORD 'app'", "CREATE DATABASE prod OWNER app"
    )  # fmt: skip
    server.sql(
        "CREATE TABLE canary (song text)", "INSERT INTO canary VALUES ('tweet')", "GRANT ALL ON canary TO PUBLIC",
        "GRANT ALL ON SCHEMA public TO PUBLIC", database="prod",
    )  # fmt: skip
    yield server
    server.end()


PROD = """SELECT n.nspname || '.' || c.relname || ' ' || c.xmin FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' UNION ALL SELECT song || xmin || ctid FROM canary
 UNION ALL SELECT 'comment ' || shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"""


@pytest.fixture
def canary(server):
    """The second database of the server is byte for byte what it was, after the test as before."""
    before = server.sql(PROD, database="prod")
    yield before
    assert server.sql(PROD, database="prod") == before
    assert before[-1].startswith("tweet") or "tweet" in "".join(before)


@pytest.fixture
def fresh(server, canary):
    """An empty database that belongs to `sando`; gone afterwards, with whoever is connected."""
    server.sql("CREATE DATABASE sando_scratch OWNER sando")
    yield "sando_scratch"
    server.sql("DROP DATABASE sando_scratch WITH (FORCE)")


@pytest.fixture
def job(keepers, tmp_path):
    return Job.begin("rehearsal", keepers, OpLog(tmp_path / "job.log"), CancelToken(), 100.0)


@pytest.fixture(scope="session")
def shop(server):
    return shops.make(server)


@pytest.fixture(scope="session")
def production(server):
    """Fifty migrations applied, as sqlx has recorded them, and some rows."""
    files = {f"{n:04}_m{n}.sql": f"CREATE TABLE m{n} (i int PRIMARY KEY);\n" for n in range(1, 50)}
    files["0050_users.sql"] = "CREATE TABLE users (id int PRIMARY KEY, name text);\n"
    server.sql("CREATE DATABASE production")
    sums = "SELECT encode(sha384(convert_to($m${}$m$, 'UTF8')), 'hex')"
    server.sql(
        "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),"
        " success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL)",
        *files.values(),
        *(
            f"INSERT INTO _sqlx_migrations VALUES ({int(name[:4])}, '{name[5:-4]}', now(), true, decode(({sums.format(text)}), 'hex'), 1)"
            for name, text in files.items()
        ),
        "INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 500) i",
        database="production",
    )
    return files


@pytest.fixture(scope="session")
def private(memory):
    """Where a private cluster is kept between the tests of a worker."""
    return Where(memory / "private" / "scratch")


@pytest.fixture
def open_private(private, job):
    return lambda: opening.emptied(private, 0, job)


@pytest.fixture
def open_server(server, fresh, job, tmp_path):
    where = Where(tmp_path / "scratch", server.url(fresh))
    return lambda: opening.emptied(where, 0, job)
