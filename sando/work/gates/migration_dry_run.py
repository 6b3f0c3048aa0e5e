"""The gate `migration_dry_run`: restores the fetched backup, applies what is pending, and sees whether one could go back.

It never calls rehearsed what was not: a version is green here only when each of its migrations was applied to something.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.names import visible
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext, ensure_checkout, run_command
from sando.work.gates.going_back import Former
from sando.work.scratch import apply, dump, migrations, opening, rows
from sando.work.scratch.dump import Dump, megabytes
from sando.work.scratch.job import Job
from sando.work.scratch.kinds import StrangeError
from sando.work.scratch.migrations import Migrations, Unfit
from sando.work.scratch.opening import Scratch
from sando.work.scratch.restore import restore


def migration_dry_run(context: GateContext, cancel: CancelToken) -> Verdict:
    ensure_checkout(context, cancel)
    job = Job.begin(context.spec.name, context.shop.keepers, context.log, cancel, context.timeout_s)
    try:
        found = _migrations(context, job)
    except Unfit as unfit:
        return Verdict(passed=False, message=str(unfit))
    path = _backup(context, job, needed=_something(context, found))
    nowhere = opening.programs_for(context.where, 0, job) is None
    if not _something(context, found) and (path is None or nowhere):
        return Verdict(passed=True, message="no migrations in this checkout")
    if nowhere:
        raise job.cannot(
            "there are migrations, and nowhere to rehearse them: install PostgreSQL (Debian: apt-get install postgresql), "
            "or set scratch_db_url in daemon.toml"
        )
    with ExitStack() as stack:
        try:
            backup = stack.enter_context(dump.opened(path, job)) if path else None
        except WorkError as error:
            if _something(context, found) or not isinstance(error.__cause__, StrangeError):
                raise
            return Verdict(passed=True, message=f"no migrations in this checkout; {error.detail}")
        scratch = stack.enter_context(opening.emptied(context.where, backup.kind.least if backup else 0, job))
        return _Rehearsal(context, found, backup, scratch, job).run()


class _Rehearsal:
    """On an open, empty scratch database. What it proves is in `facts`, also where it ends red."""

    def __init__(
        self,
        context: GateContext,
        found: Migrations,
        backup: Dump | None,
        scratch: Scratch,
        job: Job,
    ) -> None:
        self._context = context
        self._found = found
        self._backup = backup
        self._scratch = scratch
        self._job = job
        self._former = Former(context, scratch.url, job.cancel)
        self._changed = False  # the schema, or a command that may have changed it
        self._facts: dict[str, object] = {}

    def run(self) -> Verdict:
        said = [self._restore(self._backup) if self._backup else self._empty()]
        try:
            verdict = self._migrate()
        except Unfit as unfit:
            verdict = Verdict(passed=False, message=str(unfit))
        if not verdict.passed:
            return Verdict(passed=False, message=verdict.message, facts={**self._facts, **verdict.facts})
        said += [verdict.message, *self._going_back()]
        opening.remember(self._context.where, self._context.version, self._context.sha)
        return Verdict(passed=True, message=", ".join(said), facts=self._facts)

    def _restore(self, backup: Dump) -> str:
        age = span(backup.age_s)
        self._job.say(f"restore: {backup.path}, {backup.shown}, fetched {age} ago")
        with self._job.at(f"the restore of {backup.path}"):
            restored = restore(self._scratch, backup, self._job)
        self._facts |= {
            "restore_ok": True, "restore_s": restored.seconds, "backup_sha256": restored.sha256,
            "backup_bytes": backup.bytes, "backup_age_s": round(backup.age_s), "rows": rows.largest(self._scratch.client),
        }  # fmt: skip
        self._tell_rows()
        return f"the backup of {age} ago restored in {restored.seconds:.1f}s ({megabytes(backup.bytes)})"

    def _tell_rows(self) -> None:
        counted = self._facts["rows"]
        assert isinstance(counted, dict)
        for table, count in counted.items():
            self._job.say(f"restore: {visible(table)}: {count} rows")
        if not counted:
            self._job.say("warning: the backup holds no table at all: is it of the right database?")

    def _empty(self) -> str:
        self._job.say("no backup yet, and no later tier has run a version: rehearsed on an empty database")
        return "rehearsed on an empty database, since there is no backup yet"

    # -- migrations --------------------------------------------------------------------------------------------------

    def _migrate(self) -> Verdict:
        begun = time.monotonic()
        if self._context.spec.command is not None:
            self._changed = True
            self._former.before()
            url = {"DATABASE_URL": self._scratch.url}
            return run_command(self._context, self._context.spec.command, self._job.cancel, more=url)
        todo = apply.pending(self._scratch.client, self._found)
        self._changed = bool(todo.files)
        if self._changed:
            self._job.say(f"migrate: {len(todo.files)} pending of {len(self._found.files)}")
            self._former.before()
            begun = time.monotonic()
        done = apply.apply(self._scratch.client, todo, self._job)
        self._facts["migrations"] = [{"name": one.name, "seconds": one.seconds} for one in done]
        if not done:
            return Verdict(
                passed=True,
                message="no migration is pending" if self._found.files else "no migrations in this checkout",
            )
        count = f"{len(done)} migration{'' if len(done) == 1 else 's'}"
        return Verdict(passed=True, message=f"{count} applied in {time.monotonic() - begun:.1f}s")

    def _going_back(self) -> list[str]:
        safe = self._former.after(changed=self._changed)
        if not safe:
            return []
        self._facts["rollback_safe"] = safe
        words = {"yes": "still starts", "no": "does not start any more", "unknown": "could not be tried"}
        return [f"{version} {words[word]}" for version, word in safe.items()]


def _migrations(context: GateContext, job: Job) -> Migrations:
    """Of the release, as it will be deployed; of the checkout, where the release has none."""
    if context.spec.command is not None:
        return Migrations((), versioned=False)
    shop, spec = context.shop, context.spec
    found = migrations.read(Path(context.release), spec.dir, job.step)
    if not found.files and not found.below:
        found = migrations.read(Path(shop.checkout), f"{shop.spec.dir}/{spec.dir}", job.step)
    if found.below and not found.files:
        raise job.cannot(
            f"{visible(found.below[0])} lies in a folder below {spec.dir}, which is not sqlx's manner: set `command` on this "
            "gate to what applies them"
        )
    return found


def _something(context: GateContext, found: Migrations) -> bool:
    return bool(found.files) or context.spec.command is not None


def _backup(context: GateContext, job: Job, *, needed: bool) -> Path | None:
    """Where the fetched backup lies; None: there is none, and none is needed."""
    path = Path(context.backup.local_path) if context.backup else None
    if path is not None and path.exists():
        return path
    if needed and not context.first_release:
        how = f"at {path} yet: fetch one (`sando backup`)" if path else "declared: add [backup] to sando.toml"
        raise job.cannot(f"there are migrations to rehearse and no backup {how}")
    return None
