"""One choke point: whatever reaches a database is started in one module, and each session of psql begins with the guard."""

import re
from pathlib import Path

from sando.work.scratch import client, opening

ROOT = Path(client.__file__).resolve().parents[3]
PROGRAM = re.compile(r"""["'/](psql|pg_restore|pg_dump|createdb|dropdb|vacuumdb)["']""")
LIBRARY = re.compile(r"^\s*(?:import|from) (psycopg|pg8000|asyncpg|sqlalchemy|aiopg)", re.MULTILINE)


def sources():
    return [p for top in ("sando", "actors", "api") for p in (ROOT / top).rglob("*.py")]


def test_only_the_client_starts_what_speaks_to_a_database():
    naming = {p.name for p in sources() if PROGRAM.search(p.read_text())}
    assert naming == {"client.py", "programs.py"}  # and the latter asks for versions
    assert [p for p in sources() if LIBRARY.search(p.read_text())] == []


def test_every_script_stands_behind_the_guard(open_private, job, monkeypatch):
    seen = []
    real = client.Client.file

    def noted(self, name, text):
        if self.place.user == opening.ROLE and self.guard:
            seen.append((name, text.startswith(self.guard)))
        return real(self, name, text)

    with open_private() as scratch:
        monkeypatch.setattr(client.Client, "file", noted)
        assert scratch.client.guard
        scratch.client.ask("SELECT 1;")
        running = scratch.client.psql(["-c", "SELECT 1"], restricted=True)
        scratch.client.wait(running, job.log, 0)
    assert seen == [("ask.sql", True), ("prelude.sql", True)]
