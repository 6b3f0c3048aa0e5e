"""May everything in this database be dropped? Decides that from what the server says, and sets sando's mark."""

from sando.work.scratch import questions
from sando.work.scratch.client import Client
from sando.work.scratch.complaint import complaint
from sando.work.scratch.job import Job
from sando.work.scratch.questions import Sight

_OTHER_POWERS = "it would let a dump or a migration reach beyond that database"


def claim(client: Client, owner: str, job: Job) -> Sight:
    """Look, check, mark when it is empty; from here on each session of the client proves again that it is there.

    WorkError (errored) when it is not ours: then nothing was asked but questions.
    """
    sight = look(client, job)
    wanted = questions.mark(owner, sight.system, sight.oid)
    if sight.comment != wanted:
        _is_free(sight, job)
    _is_weak(sight, job)
    if sight.comment != wanted:
        _owns_it(sight, job)
        client.ask(questions.set_mark(sight.database, sight.system, wanted))
    _set_guard(client, sight, wanted)
    return sight


def find(client: Client, owner: str, job: Job) -> bool:
    """Whether it is marked as ours already; sets the guard then."""
    sight = look(client, job)
    wanted = questions.mark(owner, sight.system, sight.oid)
    if sight.comment != wanted:
        return False
    _is_weak(sight, job)
    _set_guard(client, sight, wanted)
    return True


def wipe(client: Client, sight: Sight, job: Job) -> None:
    """Drop everything, in one session that has just looked for the mark again. WorkError names what cannot be dropped."""
    rows = client.ask(questions.wipe(sight.database))
    left = [row.removeprefix("left|") for row in rows if row.startswith("left|")]
    if left:
        why = complaint(rows)
        raise job.cannot(
            f"the scratch database {sight.database} holds what {sight.role} cannot drop: {', '.join(left[:3])} ({why}); drop it as its owner"
        )


def look(client: Client, job: Job) -> Sight:
    sight = questions.read_sight(client.ask(questions.look())[-1])
    place = client.place
    if (sight.database, sight.role) != (place.database, place.user):
        raise job.cannot(
            f"asked for database {place.database} as {place.user}, and got {sight.database} as {sight.role}: something stands in between"
        )
    client.version = sight.version
    return sight


def _is_weak(sight: Sight, job: Job) -> None:
    """It is asked after the database is known to be free or ours: the way out must never name one that is neither."""
    if too_much := _too_much(sight):
        raise job.cannot(
            f"scratch_db_url: {sight.role} {too_much}: {_OTHER_POWERS}. Make a role that owns it and no more: "
            f"CREATE ROLE sando_scratch LOGIN PASSWORD '…'; ALTER DATABASE {questions.name(sight.database)} OWNER TO sando_scratch;"
        )


def _too_much(sight: Sight) -> str:
    """A superuser has all the others too."""
    powers = ["SUPERUSER"] if "SUPERUSER" in sight.powers else sight.powers
    has = [f"has {', '.join(powers)}"] if powers else []
    return " and ".join([*has, *(sight.reaches if "SUPERUSER" not in powers else [])])


def _is_free(sight: Sight, job: Job) -> None:
    base = questions.name(sight.database)
    if sight.comment is not None and sight.comment.startswith(questions.MARK):
        raise job.cannot(
            f"the database {sight.database} has the mark of another sandod, or of one whose workdir is gone ({sight.comment[:40]!r}): "
            f"nothing was done. If nobody else uses it: DROP DATABASE {base}; CREATE DATABASE {base} OWNER {questions.name(sight.role)};"
        )
    if sight.content:
        raise job.cannot(
            f"the database {sight.database} is not empty ({', '.join(sight.content[:3])}) and has no mark of sando: each rehearsal "
            "drops everything in it, so nothing was done. Name a database of its own in scratch_db_url, empty and made for this"
        )
    if sight.comment is not None:
        raise job.cannot(
            f"the database {sight.database} has a comment of somebody's ({sight.comment[:80]!r}), so nothing was done. If it is free: "
            f"COMMENT ON DATABASE {base} IS NULL;"
        )


def _owns_it(sight: Sight, job: Job) -> None:
    if not sight.owns:
        base = questions.name(sight.database)
        raise job.cannot(
            f"{sight.role} does not own the database {sight.database}: ALTER DATABASE {base} OWNER TO {questions.name(sight.role)};"
        )


def _set_guard(client: Client, sight: Sight, wanted: str) -> None:
    client.guard = questions.guard(sight.database, sight.system, wanted)
