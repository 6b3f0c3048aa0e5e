"""An event as one line that a person reads at a glance: what happened, to what, by whom. Pure."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from sando.client.shapes import Event
from sando.model.clock import span
from tui.model.commands import in_commands
from tui.rows import Style
from tui.text import clean


class Line(Struct, frozen=True):
    """`n` is its place on this screen; `hay` is what a filter looks through."""

    n: int
    at: datetime | None
    kind: str
    tier: str
    text: str
    style: Style
    hay: str


_BAD = {
    "BuildFailed",
    "DeployFailed",
    "RollbackFailed",
    "BackupFailed",
    "ConfigRejected",
    "ActorRestarted",
    "NotifyFailed",
}
_GOOD = {"BuildOk", "DeployOk", "PromoteComplete", "BackupFetched", "ManualConfirm", "Unlocked"}
_ODD = {"BuildAborted", "Rollback", "NodeReverted", "Rejected", "HotfixUsed", "BurnInReset", "Locked", "DriftDetected",
        "DaemonStopping"}  # fmt: skip
_QUIET = {"Pruned", "NodeDeployed"}
_GATE: dict[str, Style] = {
    "passed": "ok",
    "failed": "bad",
    "errored": "bad",
    "aborted": "warn",
    "skipped": "warn",
}


def line(event: Event, n: int) -> Line:
    kind, tier = clean(event.type)[:32], clean(event.tier or "")[:32]
    text = " ".join(clean(_told(event)).split())
    hay = f"{kind} {tier} {text} {clean(event.version or '')} {clean(event.actor or '')}".lower()
    return Line(n, event.at, kind, tier, text, style_of(event), hay)


def style_of(event: Event) -> Style:
    kind = event.type
    if kind == "GateDone":
        return _GATE.get(str(event.data.get("outcome")), "plain")
    if kind in _BAD:
        return "bad"
    if kind in _GOOD:
        return "ok"
    return "warn" if kind in _ODD else "dim" if kind in _QUIET else "plain"


def _told(event: Event) -> str:
    said = _words(event)
    return said if said.strip() else _plainly(event)


def _words(e: Event) -> str:
    d = e.data
    match e.type:
        case "RebuildRequested":
            return f"{_op(e)}{_sha(e)}{_by(e)}{_colon(d.get('subject'))}{_why(d)}"
        case "BuildStart":
            return f"{_op(e)}{_sha(e)}{_by(e)}"
        case "BuildOk" | "BuildFailed" | "BuildAborted":
            after = d.get("superseded_by")
            gone = f" superseded by #{after}" if after else ""
            return f"{_op(e)}{e.version or _sha(e)}{gone}{_took(d)}{_why_not(d, 'error')}"
        case "GateStart":
            return f"{_op(e)}{_version(e)}{_s(d, 'gate')}"
        case "GateDone":
            return (
                f"{_op(e)}{_version(e)}{_s(d, 'gate')} {_s(d, 'outcome')}{_took(d)}{_why_not(d, 'message')}"
            )
        case "DeployStart" | "DeployOk" | "PromoteComplete" | "Rollback" | "RollbackFailed":
            return f"{_op(e)}{_way(d, e)}{_by(e)}{_why(d)}"
        case "DeployFailed":
            back = ", rolled back" if d.get("rolled_back") else ""
            return f"{_op(e)}{_way(d, e)} {_s(d, 'status') or 'failed'}{back}{_why_not(d, 'error')}"
        case "NodeDeployed" | "NodeReverted":
            return f"{_op(e)}{e.node or ''} on {e.version or 'nothing'}{_colon(d.get('by'))}"
        case "DriftDetected":
            found, known = d.get("observed") or "nothing", d.get("recorded") or "nothing"
            return f"{e.node or ''} is on {found}, recorded is {known}{_colon(d.get('detail'))}"
        case "ManualConfirm" | "Rejected":
            return f"{_version(e)}{_s(d, 'gate')}{_by(e)}{_why(d)}"
        case "HotfixUsed":
            return f"{_op(e)}{_version(e)}{_by(e)} skipped {_s(d, 'skipped')}{_why(d)}"
        case "Locked" | "Unlocked":
            until = f" until {d['expires']}" if d.get("expires") else ""
            return f"{_by(e).lstrip()}{until}{_why(d)}"
        case "BackupFetched":
            size = d.get("bytes")
            return f"{_op(e)}{size_of(size) if isinstance(size, int) else ''}{_by(e)}"
        case "DaemonStarted":
            return f"sandod {_s(d, 'version')}"
        case "BackupFailed" | "ConfigRejected":
            return f"{_op(e)}{in_commands(_s(d, 'error'))}"
        case "Pruned":
            names = d.get("versions")
            gone = ", ".join(str(n) for n in names) if isinstance(names, list) else ""
            return f"{gone} from {e.node or _s(d, 'where') or 'a node'}"
        case _:
            return ""


def _plainly(e: Event) -> str:
    """A type that is not known here: whatever it says."""
    fields = [_op(e).strip(), e.node or "", e.version or "", _by(e).strip()]
    fields += [f"{k}={v}" for k, v in e.data.items() if v not in (None, "", [], {})]
    return " ".join(f for f in fields if f)


def _s(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return "" if value is None else str(value)


def _op(e: Event) -> str:
    return f"#{e.operation} " if e.operation is not None else ""


def _version(e: Event) -> str:
    return f"{e.version} " if e.version else ""


def _sha(e: Event) -> str:
    return (e.sha or "")[:7]


def _by(e: Event) -> str:
    return f" by {e.actor}" if e.actor else ""


def _why(data: dict[str, Any]) -> str:
    return f" ({data['reason']})" if data.get("reason") else ""


def _colon(text: object) -> str:
    return f": {str(text).strip()}" if text else ""


def _why_not(data: dict[str, Any], key: str) -> str:
    """A sentence of sandod: it may say what to do next."""
    return _colon(in_commands(_s(data, key)))


def _took(data: dict[str, Any]) -> str:
    seconds = data.get("seconds")
    return f" in {seconds_of(seconds)}" if isinstance(seconds, int | float) else ""


def _way(data: dict[str, Any], e: Event) -> str:
    to = data.get("to") or e.version or ""
    before = data.get("from")
    return f"{before} → {to}" if before and before != to else str(to)


def seconds_of(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 10 else span(seconds)


def size_of(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
