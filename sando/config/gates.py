"""The gates of a tier, in their order. Which keys a gate may have depends on its kind (SPEC 4)."""

from typing import Literal, NamedTuple, get_args

from sando.config.addresses import tcp, web_url, with_port
from sando.config.table import Table
from sando.config.values import (
    between,
    command,
    duration,
    environment,
    gate_name,
    items,
    one_of,
    positive,
    relative,
    shown,
    string,
)
from sando.model.topology import GATE_KINDS, Command, GateSpec, Probe

On = Literal["builder", "nodes"]

KEYS: dict[str, tuple[str, ...]] = {
    "cargo_test": ("command", "timeout", "idle_timeout"),
    "command": ("command", "timeout", "idle_timeout", "shards", "on"),
    "migration_dry_run": ("dir", "command", "timeout"),
    "boot_smoke": ("probe", "settle", "timeout", "env", "args"),
    "manual_confirm": ("min_approvals",),
    "burn_in": ("duration",),
    "backup_fresh": ("max_age",),
}
PROBE_KEYS = ("http", "tcp", "command")
MAX_SHARDS = 64
MAX_APPROVALS = 32
CARGO_TEST = ("cargo", "test", "--release")
BOOT_TIMEOUT = 30.0
_ONS: tuple[On, ...] = get_args(On)
_NOTHING: Command = ""
_EXAMPLE = '{ kind = "cargo_test" }'


class Surroundings(NamedTuple):
    """What a gate's validity depends on beyond its own keys."""

    tokens: bool
    backup: bool
    backup_max_age: float | None


def read_gates(tier: Table, around: Surroundings) -> tuple[GateSpec, ...]:
    found: list[GateSpec] = []
    for table in tier.tables("gates", _EXAMPLE):
        gate = _gate(table, around)
        if gate is None:
            continue
        if any(gate.name == other.name for other in found):
            table.problem(
                f"the tier has a gate {shown(gate.name)} already; give this one a name of its own", "name"
            )
        found.append(gate)
    return tuple(found)


def read_probe(owner: Table, *, free_port: bool = False) -> Probe | None:
    """`probe` of a tier, node or gate; `free_port`: `{port}` may stand in it."""
    table = owner.table("probe")
    if table is None:
        return None
    table.only(*PROBE_KEYS, of=" of a probe")
    table.exactly_one(*PROBE_KEYS, example='{ http = "http://127.0.0.1:8080/health" }')
    return Probe(
        http=table.maybe("http", with_port(web_url) if free_port else web_url),
        tcp=table.maybe("tcp", with_port(tcp) if free_port else tcp),
        command=table.maybe("command", command),
    )


def _gate(table: Table, around: Surroundings) -> GateSpec | None:
    kind = table.need("kind", one_of(GATE_KINDS, "gate kind"), "", '"cargo_test"')
    if not kind:
        return None
    table.only("kind", "name", *KEYS[kind], of=f" of a {kind} gate")
    return GateSpec(
        kind=kind,
        name=table.take("name", gate_name, kind),
        command=_command(table, kind),
        timeout_s=table.take("timeout", positive, BOOT_TIMEOUT if kind == "boot_smoke" else None),
        idle_timeout_s=table.maybe("idle_timeout", positive),
        shards=table.take("shards", between(1, MAX_SHARDS), 1),
        on=table.take("on", one_of(_ONS), "builder"),
        dir=table.take("dir", relative, "migrations"),
        probe=read_probe(table, free_port=True),
        settle_s=table.take("settle", duration, 2.0),
        env=table.take("env", environment, {}),
        args=table.take("args", items(string, filled=False), ()),
        min_approvals=_approvals(table, around),
        duration_s=_burn_in(table, kind),
        max_age_s=_max_age(table, kind, around),
    )


def _command(table: Table, kind: str) -> Command | None:
    if kind == "command":
        return table.need("command", command, _NOTHING, '"make check" or ["make", "check"]')
    return table.maybe("command", command) or (CARGO_TEST if kind == "cargo_test" else None)


def _burn_in(table: Table, kind: str) -> float:
    return table.need("duration", duration, 0.0, '"24h"') if kind == "burn_in" else 0.0


def _approvals(table: Table, around: Surroundings) -> int:
    count = table.take("min_approvals", between(1, MAX_APPROVALS), 1)
    if count > 1 and not around.tokens:
        table.problem(
            "more than 1 needs tokens, which tell people apart; add them with `sandod token NAME --scope operate`",
            "min_approvals",
        )
    return count


def _max_age(table: Table, kind: str, around: Surroundings) -> float | None:
    """The gate's own age, else the one of `[backup]`."""
    if kind != "backup_fresh":
        return None
    if not around.backup:
        table.problem("there is no backup to be fresh; add [backup] with source and local_path", "kind")
    if around.backup_max_age is not None:
        return table.take("max_age", positive, around.backup_max_age)
    return table.need("max_age", positive, None, '"48h"')
