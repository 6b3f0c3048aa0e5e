"""An operation in a line: that it was begun or waits, and how it ended. Pure."""

from sando.client.shapes import Operation
from tui.model.commands import in_keys
from tui.rows import Style
from tui.text import cut

MOST_OF_A_VERSION = 24
"""What comes behind it matters more."""
_STYLE: dict[str, Style] = {
    "succeeded": "ok", "failed": "bad", "errored": "bad", "running": "busy", "queued": "busy", "superseded": "dim",
}  # fmt: skip


def line(operation: Operation, went: str = "") -> str:
    """`promote 44 of 0.8.2: failed, rolled back: a-1: the probe stayed red`; of an error its first line.

    `went` is said in place of how it stands.
    """
    of = cut(operation.version or (operation.sha or "")[:7], MOST_OF_A_VERSION)
    why = (operation.error or "").strip().partition("\n")[0]
    said = f"{went or _went(operation)}{f': {in_keys(why)}' if why else ''}"
    return f"{operation.kind} {operation.id}{f' of {of}' if of else ''}: {said}"


def _went(operation: Operation) -> str:
    before = operation.details.get("after")
    match operation.status:
        case "queued" if before is not None:
            return f"waits for promote {before} to stop"
        case "running":
            return "started"
        case _:
            return standing(operation)


def standing(operation: Operation) -> str:
    """How it stands or ended, and that it went back or was told to stop: none is said for the other."""
    if stopping(operation):
        return f"{operation.status}, told to stop"
    return f"{operation.status}, rolled back" if operation.rolled_back else operation.status


def stopping(operation: Operation) -> str:
    """That it was told to stop, by whom and why, and when it does; empty where nobody has, or where it has ended."""
    said = operation.details
    if operation.ended or "abort" not in said:
        return ""
    by = f" by {said['abort']}" if said["abort"] else ""
    rollback = f"'s rollback {said['rollback']}" if by and said.get("rollback") else ""
    why = f" ({said['abort_reason']})" if said.get("abort_reason") else ""
    ends = (
        "at the next node, once what runs on this one has ended"
        if operation.kind == "promote"
        else "as soon as it can"
    )
    return f"told to stop{by}{rollback}{why}: it ends {ends}"


def doing(operation: Operation) -> str:
    """`promote 44 of 0.8.2 by max: upload`."""
    what = operation.version or (operation.sha or "")[:7]
    step = f": {operation.step}" if operation.step and not operation.ended else ""
    by = f" by {operation.actor}" if operation.actor else ""
    return f"{operation.kind} {operation.id}{f' of {what}' if what else ''}{by}{step}"


def style(operation: Operation) -> Style:
    return _STYLE.get(operation.status, "warn")
