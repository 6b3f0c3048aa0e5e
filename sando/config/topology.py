"""sando.toml -> Topology: repo, build, backup, freezes, and the tiers that are read next door."""

import re
from zoneinfo import ZoneInfo, available_timezones

from sando.config.addresses import backup_source
from sando.config.credentials import secret_file
from sando.config.document import Document
from sando.config.gates import Surroundings
from sando.config.table import Table
from sando.config.tiers import read_tiers
from sando.config.values import (
    Bad,
    argv,
    branch,
    command,
    environment,
    folder,
    items,
    one_of,
    positive,
    relative,
    shown,
    text,
)
from sando.model.names import nearest
from sando.model.topology import BackupSpec, BuildSpec, FreezeSpec, RepoSpec, Topology

KEYS = ("repo", "build", "backup", "tier", "freeze")
REPO_KEYS = ("bare_path", "branch")
BUILD_KEYS = (
    "dir",
    "command",
    "artifact",
    "extra",
    "version_from",
    "timeout",
    "idle_timeout",
    "env",
    "run",
    "runner",
)
BACKUP_KEYS = ("source", "local_path", "max_age", "schedule", "identity_file", "known_hosts")
FREEZE_KEYS = ("tiers", "days", "hours", "tz")

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 1440  # minutes
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00))")
_DEFAULT = BuildSpec()


def read_topology(document: Document, *, tokens: bool, store: str) -> Topology:
    """What the file declares; values that cannot be used are blank, and told in the document's problems."""
    root = Table.root(document)
    root.only(*KEYS)
    backup = _backup(root.table("backup"))
    around = Surroundings(tokens, root.has("backup"), backup.max_age_s if backup else None)
    tiers = read_tiers(root, around, store)
    names = tuple(tier.name for tier in tiers if tier.name)
    freezes = root.tables("freeze", '[[freeze]] with days = ["fri"] or hours = "16:00-24:00"')
    return Topology(
        repo=_repo(root),
        tiers=tiers,
        build=_build(root.table("build")),
        backup=backup,
        freezes=tuple(_freeze(table, names) for table in freezes),
    )


def _repo(root: Table) -> RepoSpec:
    if not root.has("repo"):
        root.problem('missing; add [repo] with bare_path = "/srv/git/app.git"', "repo")
    table = root.table("repo")
    if table is None:
        return RepoSpec("")
    table.only(*REPO_KEYS, of=" of [repo]")
    return RepoSpec(
        bare_path=table.need("bare_path", folder, "", '"/srv/git/app.git"'),
        branch=table.take("branch", branch, "main"),
    )


def _build(table: Table | None) -> BuildSpec:
    if table is None:
        return _DEFAULT
    table.only(*BUILD_KEYS, of=" of [build]")
    return BuildSpec(
        dir=table.take("dir", relative, _DEFAULT.dir),
        command=table.take("command", command, _DEFAULT.command),
        artifact=table.take("artifact", relative, _DEFAULT.artifact),
        extra=table.take("extra", items(relative, filled=False), _DEFAULT.extra),
        version_from=table.take("version_from", relative, _DEFAULT.version_from),
        timeout_s=table.take("timeout", positive, _DEFAULT.timeout_s),
        idle_timeout_s=table.maybe("idle_timeout", positive),
        env=table.take("env", environment, {}),
        run=table.take("run", argv, ()),
        runner=table.take("runner", argv, ()),
    )


def _backup(table: Table | None) -> BackupSpec | None:
    if table is None:
        return None
    table.only(*BACKUP_KEYS, of=" of [backup]")
    return BackupSpec(
        source=table.need("source", backup_source, "", '"ssh://backup@prod-1:22/var/backups/app.sql"'),
        local_path=table.need("local_path", folder, "", '"/var/lib/sando/backup.sql"'),
        max_age_s=table.maybe("max_age", positive),
        schedule_s=table.maybe("schedule", positive),
        identity_file=table.maybe("identity_file", secret_file),
        known_hosts=table.maybe("known_hosts", secret_file),
    )


def _freeze(table: Table, tiers: tuple[str, ...]) -> FreezeSpec:
    table.only(*FREEZE_KEYS, of=" of a freeze")
    if not table.has("days") and not table.has("hours"):
        table.problem("has neither days nor hours and would never end; add one, or use `sando lock`")
    start, end = table.take("hours", _hours, (0, DAY))
    return FreezeSpec(
        tiers=table.take("tiers", items(one_of(tiers, "tier")), ()),
        days=table.take("days", _days, ()),
        start_min=start,
        end_min=end,
        tz=table.take("tz", _zone, "UTC"),
    )


def _days(value: object) -> tuple[int, ...]:
    return tuple(sorted({DAYS.index(day) for day in items(one_of(DAYS, "day"))(value)}))


def _hours(value: object) -> tuple[int, int]:
    """Minutes from midnight; an end that is not after the start is one of the next day, beyond 1440."""
    hours = text(value)
    found = _HOURS.fullmatch(hours)
    if not found:
        raise Bad(f'is {shown(hours)}, no span of hours; write "16:00-24:00", or "22:00-06:00" past midnight')
    first, second, third, fourth = (int(digits) for digits in found.groups() if digits)
    start, end = first * 60 + second, third * 60 + fourth
    return start, end if end > start else end + DAY


def _zone(value: object) -> str:
    name = text(value)
    try:
        if name != "UTC":  # known without any time zone data on the machine
            ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        hint = nearest(name, available_timezones()) or 'write "Europe/Berlin" or "UTC"'
        raise Bad(f"is {shown(name)}, no time zone known here; {hint}") from None
    return name
