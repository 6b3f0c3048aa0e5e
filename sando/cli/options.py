"""Arguments and options that several commands share, so that each means the same everywhere."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from sando.cli.completers import gates, operations, tiers, tiers_or_all, versions

F = TypeVar("F", bound=Callable[..., Any])
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float | None:
    """`90`, `90s`, `15m`, `2h`, `1d`; None where it is no duration."""
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _UNITS[found[2] or "s"] if found else None


class Duration(click.ParamType[float]):
    """`90`, `90s`, `15m`, `2h`, `1d`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = seconds(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration; write 90, 90s, 15m, 2h or 1d", param, ctx)
        return found


class Name(click.ParamType[str]):
    """Of whatever it is: sandod judges it. But none at all (a variable of a script that is not set) must not pass for a
    default, and what becomes part of a path must not lead elsewhere.
    """

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text or "/" in text or text in {".", ".."}:
            self.fail(f"{text!a} is no name", param, ctx)
        return text


DURATION = Duration()


class Key(click.ParamType[str]):
    """What a header can carry."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not re.fullmatch(r"[!-~]{1,128}", text):
            self.fail(f"{text!a} is no key: 1 to 128 characters, ASCII, no space", param, ctx)
        return text


NAME = Name()

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in sandod's own JSON, on stdout.")
reason = click.option(
    "--reason", "-m", default="", metavar="TEXT", help="Why; kept with it and shown in the history."
)
yes = click.option(
    "--yes", "-y", is_flag=True, help="Do not ask first. Without a terminal nothing is asked anyway."
)
key = click.option(
    "--key",
    type=Key(),
    metavar="KEY",
    help="Under one key it acts once, however often it is sent (a job's id); else a new one.",
)
tier = click.argument("tier", type=NAME, shell_complete=tiers)
a_tier = click.argument("tier", type=NAME, required=False, shell_complete=tiers)
tier_or_all = click.argument("tier", type=NAME, metavar="TIER|all", shell_complete=tiers_or_all)
version = click.argument("version", type=NAME, required=False, shell_complete=versions)
operation = click.argument("operation", metavar="ID", type=click.IntRange(1), shell_complete=operations)
an_operation = click.argument(
    "operation", metavar="[ID]", type=click.IntRange(1), required=False, shell_complete=operations
)
gate = click.argument("gate", type=NAME, shell_complete=gates)


def waits(command: F) -> F:
    """--wait and --timeout."""
    wait = click.option(
        "--wait",
        "-w",
        is_flag=True,
        help="Wait until it has ended; its end is the exit code, see `sando --help`.",
    )
    timeout = click.option(
        "--timeout",
        type=DURATION,
        metavar="TIME",
        help="Wait no longer than this (90, 15m, 2h); it goes on all the same.",
    )
    return wait(timeout(command))
