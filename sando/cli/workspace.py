"""`sando init`: a workspace of two commented files, with which sandod starts at once. It overwrites nothing."""

import json
import os
import re
import shlex
import socket
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from sando.cli.errors import Command
from sando.cli.outlets import by_code
from sando.cli.output import say
from sando.client.address import DEFAULT
from tui.rows import Segment

MODES = {"daemon.toml": 0o600, "sando.toml": 0o644}
"""The former may come to hold secrets of [[notify]]."""
FILES = tuple(MODES)
USUAL_PORT = 7766
_PLACE = re.compile(r"@(?:(PORT)|ROOT(/[^@]*))@")


class Folder(click.Path):
    """But no empty one (a variable of a script that is not set), which would be the current one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not os.fspath(value):
            self.fail("'' is no folder; the current one is .", param, ctx)
        return super().convert(value, param, ctx)


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=Folder(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write daemon.toml and sando.toml into DIR, commented and ready to run: tiers mm, a and b, all on this machine.

    A file that is there already is not touched, and nothing is written then.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise click.UsageError(f"{folder / there[0]} is there already; name another folder, or move it away")
    port = free_port()
    root = folder.resolve()
    texts = {name: filled(name, root, port) for name in FILES}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            path.touch(MODES[name], exist_ok=False)
            path.write_text(text, "utf-8")
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from None
    _next(root, port)


def filled(name: str, root: Path, port: int) -> str:
    """A template for this place."""
    text = files("sando.cli").joinpath("templates", name).read_text("utf-8")

    def put(found: re.Match[str]) -> str:
        return str(port) if found[1] else json.dumps(f"{root}{found[2]}", ensure_ascii=False)

    return _PLACE.sub(put, text)


def free_port() -> int:
    """The usual one where nobody listens on it, else any."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise click.UsageError("no port of this machine is free")


def _next(root: Path, port: int) -> None:
    config, here = shlex.quote(str(root / "daemon.toml")), shlex.quote(str(root))
    by_code()
    say(f"written: {root / 'daemon.toml'} and {root / 'sando.toml'}")
    say()
    say(Segment("next", "strong"))
    say(f"  SANDO_CONFIG={config} sandod        # in a terminal of its own")
    url = f"http://127.0.0.1:{port}"
    if url != DEFAULT:
        say(f"  export SANDO_DAEMON={url}")
    say(f"  git clone {here}/repo.git app && cd app    # put your project in, see [build] in sando.toml")
    say("  git push origin HEAD:main           # builds and tests it")
    say("  sando status                        # or `sando`, the screen")
    say("  sando promote a --wait")
