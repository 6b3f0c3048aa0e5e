"""Which extensions a backup may have, and who makes them: the role itself, or the administrator of our own cluster.

The administrator makes them in a database where nothing else is yet: what an extension's own script runs, as a
superuser, cannot be what a dump has put in its way.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sando.model.names import visible
from sando.work.scratch import questions
from sando.work.scratch.client import Client
from sando.work.scratch.job import Job
from sando.work.scratch.opening import Scratch
from sando.work.scratch.questions import literal, name

# They give a role that may use them nothing but their types and functions: no files, no network, no other language.
HARMLESS = frozenset(
    (
        "address_standardizer", "age", "amcheck", "autoinc", "bloom", "btree_gin", "btree_gist", "citext", "cube",
        "dict_int", "dict_xsyn", "earthdistance", "fuzzystrmatch", "h3", "hll", "hstore", "hypopg", "insert_username",
        "intagg", "intarray", "ip4r", "isn", "lo", "ltree", "moddatetime", "pageinspect", "pg_buffercache", "pg_hint_plan",
        "pg_freespacemap", "pg_prewarm", "pg_repack", "pg_stat_statements", "pg_trgm", "pg_uuidv7", "pg_visibility",
        "pgcrypto", "pgrouting", "pgrowlocks", "pgstattuple", "pgtap", "postgis", "postgis_raster", "postgis_sfcgal",
        "postgis_tiger_geocoder", "postgis_topology", "prefix", "refint", "rum", "seg", "semver", "sslinfo", "tablefunc",
        "tcn", "tsm_system_rows", "tsm_system_time", "unaccent", "uuid-ossp", "vector", "xml2",
    )
)  # fmt: skip


class Provided(NamedTuple):
    """What a dump need not make any more."""

    extensions: frozenset[str]
    schemas: frozenset[str]


def provide(scratch: Scratch, wanted: Mapping[str, str], job: Job) -> Provided:
    """Make what the role may not make by itself; WorkError (errored) names an extension that cannot be had."""
    if not wanted and scratch.admin:
        return Provided(frozenset({"plpgsql"}), frozenset())
    there = _there(scratch.client)
    known = {extension: trusted == "t" for kind, extension, trusted in there if kind == "available"}
    made = {extension for kind, extension, _ in there if kind == "made"}
    mine = [extension for extension in wanted if extension not in made and not known.get(extension)]
    for extension in mine:
        _check(extension, extension in known, scratch, job)
    if mine and scratch.admin:
        client = scratch.admin.beside(scratch.client.place.database)
        client.ask("".join(_make(x, wanted[x] or "public", scratch.client.place.user) for x in mine))
        job.say(f"scratch: extensions made: {', '.join(mine)}")
    schemas = {wanted[x] for x in mine} | {schema for kind, schema, _ in there if kind == "schema"}
    return Provided(frozenset({*made, *mine}), frozenset(schemas - {"", "public"}))


def _there(client: Client) -> list[list[str]]:
    return [row.split("|") for row in client.ask(questions.extensions())]


def _check(extension: str, known: bool, scratch: Scratch, job: Job) -> None:
    shown = visible(extension)[:63]
    if not known:
        raise job.cannot(
            f"the backup needs the extension {shown}, which PostgreSQL {scratch.major} does not have here: install its "
            f"package (Debian: apt-cache search postgresql-{scratch.major})"
        )
    if scratch.admin is None:
        raise job.cannot(
            f"the backup needs the extension {shown}, which the role of scratch_db_url may not make: as a superuser in that "
            f"database, CREATE EXTENSION {name(shown)};"
        )
    if extension not in HARMLESS:
        raise job.cannot(
            f"the backup needs the extension {shown}, which may reach beyond the database: sando does not make it. Name a "
            "server of your own in scratch_db_url, and make it there as a superuser"
        )


def _make(extension: str, schema: str, role: str) -> str:
    where, who = name(schema), name(role)
    own = "" if schema == "public" else f"CREATE SCHEMA IF NOT EXISTS {where} AUTHORIZATION {who};\n"
    return (
        f"{own}CREATE EXTENSION IF NOT EXISTS {name(extension)} WITH SCHEMA {where} CASCADE;\n"
        f"GRANT ALL ON ALL TABLES IN SCHEMA {where} TO {who};\nGRANT ALL ON ALL SEQUENCES IN SCHEMA {where} TO {who};\n"
    )


class Roles:
    """Makes the roles that policies name, each once, where the cluster is ours."""

    def __init__(self, scratch: Scratch) -> None:
        self._admin = scratch.admin
        self._made: set[str] = set()

    def need(self, role: str) -> None:
        if self._admin is None or role in self._made:
            return
        self._made.add(role)
        there = f"SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(role)}"
        self._admin.ask(
            f"SELECT 'CREATE ROLE ' || {literal(name(role))} WHERE NOT EXISTS ({there}) \\gexec\n"
        )
