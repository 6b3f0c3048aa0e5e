"""`sando check`: what `sandod --check` says, also where only the client is used. It asks no daemon."""

import os

import click

from sando.cli import options
from sando.cli.errors import Command
from sando.cli.output import aside, made, say
from sando.config import check as read
from sando.config import load_daemon
from tui.rows import Segment

DEFAULT = "/etc/sando/daemon.toml"


@click.command(cls=Command)
@click.option(
    "--config", type=click.Path(), metavar="FILE", help=f"daemon.toml; else SANDO_CONFIG, else {DEFAULT}."
)
@options.as_json
def check(config: str | None, as_json: bool) -> int:
    """Validate daemon.toml and the sando.toml that it names. 0: both can be used; 1: every problem is told, by line."""
    path = config or os.environ.get("SANDO_CONFIG") or DEFAULT
    problems, warnings = read(path)
    if as_json:
        made({"ok": not problems, "config": path, "problems": problems, "warnings": warnings})
        return 1 if problems else 0
    for problem in problems:
        aside(problem)
    for warning in warnings:
        aside(Segment("warning: ", "warn"), warning)
    if problems:
        return 1
    say(f"{path}: ok, and so is {load_daemon(path).topology_path}")
    return 0
