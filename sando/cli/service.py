"""`sando reload` and `sando notify test`: what concerns sandod itself."""

from typing import Any

import click

from sando.cli import options
from sando.cli.codes import DONE, FAILED
from sando.cli.errors import Command
from sando.cli.output import aside, document, say
from sando.cli.session import given, session
from tui.rows import Segment

TEST_S = 80.0
"""A command that is told of an event may take a minute."""


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Also where nodes are taken away that hold a running version.")
@options.key
@options.as_json
def reload(force: bool, key: str | None, as_json: bool) -> None:
    """Let sandod read sando.toml again, and the tokens, notifiers and hosts of daemon.toml: as a whole, or not at all."""
    with session() as sandod:
        answer = sandod.act("POST", "/reload", given(force=force), key)
    if as_json:
        return document(answer.body)
    told = answer.json()
    for word in ("added", "changed", "removed"):
        if told.get(word):
            say(f"{word}: {_names(told[word])}")
    if told.get("needs_restart"):
        aside(Segment("needs a restart of sandod: ", "warn"), _names(told["needs_restart"]))
    if not any(told.get(word) for word in ("added", "changed", "removed", "needs_restart")):
        say("read again; no tier has changed")
    return None


@click.group()
def notify() -> None:
    """Send each [[notify]] of daemon.toml something now."""


@notify.command("test", cls=Command)
@click.argument("name", required=False)
@options.key
@options.as_json
def test(name: str | None, key: str | None, as_json: bool) -> int:
    """Send something to each notifier, or to the one called NAME, and say what came of it."""
    with session(TEST_S) as sandod:
        answer = sandod.act("POST", "/notify/test", given(name=name), key)
    found: list[dict[str, Any]] = answer.json().get("notifiers", [])
    if as_json:
        document(answer.body)
    else:
        for one in found:
            good = bool(one.get("ok", not one.get("error")))
            said = one.get("error") or one.get("detail") or ""
            say(f"{one.get('name')}: ", Segment("delivered" if good else "failed", "ok" if good else "bad"),
                f": {said}" if said else "")  # fmt: skip
    return DONE if all(one.get("ok", not one.get("error")) for one in found) else FAILED


def _names(value: object) -> str:
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
