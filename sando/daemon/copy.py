"""`sandod backup FILE`: a copy of the state, made while sandod runs or not. It takes no lock and stops nobody."""

import argparse
import os
from pathlib import Path

from sando.model.errors import SandoError
from sando.model.topology import DaemonSpec
from sando.store.copy import copy_store


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="replaced when it is there already")


def run(daemon: DaemonSpec, given: argparse.Namespace) -> int:
    goal = Path(given.file).absolute()
    if goal == Path(daemon.db_path) or (goal.exists() and goal.samefile(daemon.db_path)):
        raise SandoError(f"{goal} is the store itself; name another file")
    if goal.is_dir():
        raise SandoError(f"{goal} is a folder; name a file in it")
    os.umask(0o077)
    size = copy_store(daemon.db_path, goal)
    print(f"{goal}: {size} bytes, complete and checked")  # noqa: T201
    return 0
