"""What may stand at the cursor: names that sandod knows. It answers within a second, or nothing, and never says a word."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from click import Context, Parameter
from click.shell_completion import CompletionItem

MOST_S = 0.7
"""A person waits at the prompt."""


def _asked(path: str) -> Any:
    """The answer of sandod; None where there is none."""
    # While a command line is only parsed, none of this is needed.
    from sando.client.address import of_environment  # noqa: PLC0415
    from sando.client.caller import Caller  # noqa: PLC0415
    from sando.model.errors import SandoError  # noqa: PLC0415

    with contextlib.suppress(SandoError), Caller(of_environment(os.environ), MOST_S, MOST_S) as caller:
        answer = caller.get(path)
        return answer.json() if answer.ok else None
    return None


def _names(find: Callable[[Context], Iterable[tuple[str, str]]]) -> Callable[..., list[CompletionItem]]:
    """`find` answers names and what they are; whatever goes wrong in it, there are none."""

    def complete(ctx: Context, _param: Parameter, incomplete: str) -> list[CompletionItem]:
        clock = threading.Timer(MOST_S, os._exit, (0,))  # a name server may hold the call for longer
        clock.daemon = True
        clock.start()
        try:
            with contextlib.suppress(Exception):
                return [
                    CompletionItem(name, help=says or None)
                    for name, says in find(ctx)
                    if name.startswith(incomplete)
                ]
            return []
        finally:
            clock.cancel()

    return complete


def _every_tier() -> list[dict[str, Any]]:
    return list((_asked("/state") or {"tiers": []})["tiers"])


def _tiers(_ctx: Context) -> Iterator[tuple[str, str]]:
    for found in _every_tier():
        yield found["name"], f"{found['current_version'] or 'empty'} {found['status']}"


def _tiers_or_all(ctx: Context) -> Iterator[tuple[str, str]]:
    yield from _tiers(ctx)
    yield "all", "every tier"


def _gates(ctx: Context) -> Iterator[tuple[str, str]]:
    """Those that can be run."""
    from sando.model.topology import PASSIVE  # noqa: PLC0415

    for found in _every_tier():
        if found["name"] == ctx.params.get("tier"):
            active = (g for g in found["gates"] if g["kind"] not in PASSIVE)
            yield from ((g.get("name") or g["kind"], g["outcome"]) for g in active)


def _versions(_ctx: Context) -> Iterator[tuple[str, str]]:
    for found in (_asked("/releases") or {"releases": []})["releases"]:
        yield found["version"], _line(found.get("subject"))


def _operations(_ctx: Context) -> Iterator[tuple[str, str]]:
    for found in (_asked("/operations") or {"operations": []})["operations"]:
        says = f"{found['kind']} of {found['version'] or (found['sha'] or '')[:7]}, {found['status']}"
        yield str(found["id"]), _line(says)


def _line(text: str | None) -> str:
    """A commit's subject is somebody else's: one line of plain characters for the shell to show."""
    from tui.text import cut  # noqa: PLC0415

    return cut(text or "", 60).replace("\\", "/")


tiers = _names(_tiers)
tiers_or_all = _names(_tiers_or_all)
gates = _names(_gates)
versions = _names(_versions)
operations = _names(_operations)
