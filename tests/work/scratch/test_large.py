"""The whole way with a backup of 200 MB: it is told while it goes, and never in memory."""

import re
import resource
import subprocess

import pytest

from sando.model.topology import BackupSpec
from sando.work.scratch import restore
from tests.work.workshop import Bench

PENDING = {f"00{n}_p{n}.sql": f"ALTER TABLE events ADD COLUMN c{n} int;\n" for n in range(51, 61)}


@pytest.fixture(scope="module")
def large(server, production, tmp_path_factory):
    """Its path. What fills it cannot be packed away by being the same all over."""
    server.sql("CREATE DATABASE large TEMPLATE production")
    server.sql(
        "CREATE TABLE events (id bigint, body text)",
        "INSERT INTO events SELECT i, repeat(md5(i::text), 40) FROM generate_series(1, 155000) i",
        "ALTER TABLE events ADD PRIMARY KEY (id)",
        database="large",
    )
    path = tmp_path_factory.mktemp("large") / "backup.sql"
    with path.open("wb") as out:
        subprocess.run([server.programs.path("pg_dump"), "large"], env=server.env(), stdout=out, check=True)
    server.sql("DROP DATABASE large")
    assert path.stat().st_size > 199e6
    yield path
    path.unlink()


@pytest.mark.long
def test_two_hundred_megabytes_are_restored_and_migrated_and_told_step_by_step(
    keepers, private, production, large, tmp_path, monkeypatch
):
    monkeypatch.setattr(restore, "_SAY_S", 0.05)
    bench = Bench.make(tmp_path, keepers)
    bench.scratch = private.folder
    for name, text in (production | PENDING).items():
        bench.clone.put(f"migrations/{name}", text)
    bench.push()
    release = bench.build()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdict = bench.gate(release, "migration_dry_run", backup=BackupSpec("file:///x", str(large)))
    assert verdict.passed, verdict
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # kB
    assert verdict.facts["rows"]["public.events"] == 155000
    assert [m["name"] for m in verdict.facts["migrations"]] == list(PENDING)
    told = re.findall(
        r"sando: restore: ([0-9.]+) (kB|MB) of [0-9.]+ MB, [0-9]+s so far", bench.log.path.read_text()
    )
    done = [float(number) * {"kB": 1e3, "MB": 1e6}[unit] for number, unit in told]
    assert len(done) >= 2
    assert done == sorted(done)
