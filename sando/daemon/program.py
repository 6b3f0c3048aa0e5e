"""What `sandod` does: config, lock, store, work, actors, HTTP, in this order; and back in reverse.

Nothing imports it, and it decides nothing: it only makes the parts and introduces them to each other.
"""

import argparse
import logging
import os
import sys
import threading
from pathlib import Path

import sando
from sando import config, logs
from sando.daemon import copy, fsck, itself, rights, stacks, token
from sando.daemon.instance import OnlyOne
from sando.daemon.life import Daemon, load_topology
from sando.daemon.lost import refuse_lost
from sando.failpoints import reached
from sando.model.errors import ConfigError, SandoError
from sando.model.topology import DaemonSpec
from sando.sd import Notify
from sando.work.hosts.ssh.twins import twins

DEFAULT_CONFIG = "/etc/sando/daemon.toml"
SWITCH_S = 0.0005
"""A push waits for several threads in a row: with Python's 5 ms each would wait out its neighbour's turn."""


def run(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    path = os.environ.get("SANDO_CONFIG", DEFAULT_CONFIG)
    if arguments.check:
        return _check(path)
    stacks.listen()
    notify = Notify.take(os.environ)  # before the first child
    itself.hide()
    try:
        if arguments.command == "token":
            return token.run(path, arguments)
        daemon = config.load_daemon(path)
        if arguments.command in {"backup", "fsck"}:
            refuse_lost(daemon)
        if arguments.command == "backup":
            return copy.run(daemon, arguments)
        topology = load_topology(daemon)
        if arguments.command == "fsck":
            return fsck.run(daemon, topology, _locks(daemon), arguments)
        logs.set_up(daemon.log_format)
        os.umask(0o022)  # what is private says so itself; nodes and their services must be able to read
        sys.setswitchinterval(SWITCH_S)
        rights.refuse_foreign(daemon)
        with OnlyOne(_locks(daemon)):
            reached("start.locked")
            refuse_lost(daemon)
            return _leave(Daemon(path, daemon, topology, notify).run())
    except (SandoError, OSError) as error:
        for line in str(error).splitlines():
            print(f"{logs.priority(logging.CRITICAL)}sandod: {line}", file=sys.stderr)  # noqa: T201
        return os.EX_CONFIG if isinstance(error, ConfigError) else 1


def _leave(code: int) -> int:
    """Python would wait for a thread that hangs, and systemd for Python: all is committed, so it ends here, and says why."""
    left = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if not left:
        return code
    stacks.print_stacks(f"threads that did not end: {', '.join(left)}")
    os._exit(code or 1)


def _locks(daemon: DaemonSpec) -> tuple[Path, ...]:
    """The repository's own comes once it has been made, see `Daemon`."""
    return (
        Path(f"{daemon.db_path}.lock"),
        Path(daemon.workdir, ".sandod.lock"),
        Path(daemon.release_root, ".sandod.lock"),
    )


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sandod",
        description="The daemon of sando. SANDO_CONFIG names daemon.toml (default /etc/sando/daemon.toml).",
    )
    parser.add_argument(
        "--check", action="store_true", help="validate daemon.toml and sando.toml, start nothing"
    )
    parser.add_argument("--version", action="version", version=f"sandod {sando.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    about = "makes a token for the HTTP API: its secret is shown once, its SHA-256 is kept in daemon.toml"
    token.arguments(commands.add_parser("token", help="make, list and remove tokens", description=about))
    about = (
        "says whether the store, its folders and the nodes agree: exit 0, or 1 with a line for each finding"
    )
    fsck.arguments(commands.add_parser("fsck", help="say whether all agrees", description=about))
    about = "writes a copy of the store to FILE, also while sandod runs; README says how to put it back"
    copy.arguments(commands.add_parser("backup", help="copy the state", description=about))
    return parser.parse_args(argv)


def _check(path: str) -> int:
    problems, warnings = config.check(path)
    for line in problems:
        print(line, file=sys.stderr)  # noqa: T201
    daemon = None if problems else config.load_daemon(path)
    for line in (*warnings, *(twins(load_topology(daemon)) if daemon else ())):
        print(f"warning: {line}", file=sys.stderr)  # noqa: T201
    if daemon:
        print(f"{path}: ok, and so is {daemon.topology_path}")  # noqa: T201
    return 1 if problems else 0
