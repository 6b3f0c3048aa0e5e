"""How a node stands to its tier, in the one word that screen and command line say, and what mends a tier. Pure."""

from collections.abc import Callable

from sando.client.shapes import Node, NodeReport, Operation, Tier
from tui.rows import Style

MOST = 6
"""So many nodes are named in the line of their tier."""
_STYLE: dict[str, Style] = {
    "ok": "ok", "empty": "dim", "out": "dim", "failed": "bad", "gone": "bad", "not reached": "bad", "unknown": "warn",
    "drifted": "warn", "pending": "dim", "checked": "busy", "uploaded": "busy", "switched": "busy", "started": "busy",
    "reverted": "warn",
}  # fmt: skip


def reports(operation: Operation | None) -> dict[str, NodeReport]:
    """What a deploy that runs says of the nodes that it has in hand."""
    if operation is None or operation.ended or operation.kind not in {"promote", "rollback"}:
        return {}
    return {report.name: report for report in operation.nodes}


def word(tier: Tier, node: Node, report: NodeReport | None = None) -> str:
    """What an operation that has it in hand says; else what is wrong with it, before what it says of itself.

    One that is left out is nobody's business.
    """
    if report and report.status:
        return report.status
    if node.status == "out":
        return "out"
    if not node.reachable:
        return "not reached"
    if node.status not in {"ok", "empty"}:
        return node.status
    if node.observed != node.version:
        return "drifted" if node.observed else "gone"
    if node.version != tier.current_version:
        return f"on {node.version}" if node.version else f"lacks {tier.current_version}"
    return node.status


def style(said: str) -> Style:
    """Also of what an operation says of a node that it has in hand."""
    return _STYLE.get(said, "warn")


def off(tier: Tier) -> tuple[Node, ...]:
    """The nodes in service that are not, or not known to be, on the tier's version."""
    return tuple(n for n in tier.nodes if n.status != "out" and not _well(tier, n))


def _well(tier: Tier, node: Node) -> bool:
    """One that merely is away stays what it was."""
    return node.status in {"ok", "empty"} and node.version == node.observed == tier.current_version


def amiss(tier: Tier, promote: Callable[[str], str], back: str) -> str:
    """Why a tier is not whole, and the next step; empty where it is, or where something else is said of it.

    `promote` and `back` are how that version is promoted into it, and how it is rolled back.
    """
    nodes = off(tier)
    if tier.operation is not None or tier.detail or tier.status not in {"mixed", "degraded"} or not nodes:
        return ""
    mends = _half(tier, nodes, promote, back) if tier.status == "mixed" else _repair(tier, nodes, promote)
    known = [_told(tier, n) for n in nodes if n.version or n.observed or tier.current_version]
    more = [f"and {len(known) - MOST} more"] if len(known) > MOST else []
    return f"{tier.status}: {', '.join([*known[:MOST], *more])}{f'; {mends}' if mends else ''}"


def _told(tier: Tier, node: Node) -> str:
    said = word(tier, node)
    return f"{node.name} {said} to {node.observed}" if said == "drifted" else f"{node.name} {said}"


def _repair(tier: Tier, nodes: tuple[Node, ...], promote: Callable[[str], str]) -> str:
    if tier.current_version is None or tier.predecessor is None:
        return ""
    later = "" if all(n.reachable for n in nodes) else " once all are reached"
    return f"{promote(tier.current_version)} repairs it{later}"


def _half(tier: Tier, nodes: tuple[Node, ...], promote: Callable[[str], str], back: str) -> str:
    current = tier.current_version
    newer = {n.version for n in nodes if n.version and n.version != current}
    on = [f"{promote(version)} goes on with it" for version in newer if len(newer) == 1]
    if current is None:
        return ", ".join(on)
    if not any(n.reachable for n in nodes):  # a rollback would step the others back, behind what was
        names = ", ".join(n.name for n in nodes)
        return ", ".join([*on, f"{back} makes it whole on {current} once {names} is reached"])
    return ", ".join([*on, f"{back} {'goes back to' if on else 'makes it whole on'} {current}"])
