#!/usr/bin/env python3
"""Deploys to 1, 4 and 16 SSH nodes, the next deploy with 1 % changed, and rollbacks: sandod, a floor, and peers in one run.

Usage: .venv/bin/python contrib/bench/deploy [--rounds N] [--nodes 1,4,16] [--payloads 5MB,50MB,tree] [--ways ...]

All ways take turns, round by round. In each round a way begins with empty release roots, deploys a release that
shares nothing with that of any other round, then one with 1 % changed, and goes back. It prints seconds and ratios.
"""

import argparse
import contextlib
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import payloads
from nodes import Nodes
from payloads import Kind, Release, Workshop
from peers import Ansible, Capistrano, Fabric, Peers, Pyinfra
from place import lacks_room, place
from rounds import close_all, opened, releases, turn
from sandod import Sandod
from shell import NotInstalled, WayFailed
from table import Book, tables
from ways import Cell, Rsync, Tar, Way

NAMES = ("tar", "rsync", "rsync-warm", "fabric", "pyinfra", "ansible", "capistrano", "sandod")
SLOW_S = 4.0  # a peer that takes longer is not asked twice in one cell


def main() -> int:
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return bench(asked)
    except WayFailed as error:  # of what all ways stand on
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def bench(asked: argparse.Namespace) -> int:
    """All of it; whatever was started is ended, and the folder removed, when this returns or raises."""
    began, busy = time.monotonic(), os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        work = Path(tempfile.mkdtemp(prefix="sando-bench-", dir=asked.work))
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        stack.callback(say, "ending what was started")
        nodes = Nodes(work, max(asked.nodes))
        stack.callback(quietly, nodes.stop)
        nodes.start()
        nodes.warm_up()
        workshop = Workshop(work / "payloads", noise=asked.random)
        ways = make_ways(asked, work, nodes)
        stack.callback(quietly, partial(close_all, ways))
        book = Book([(kind.name, count) for kind in asked.payloads for count in asked.nodes])
        try:
            working = rehearse(nodes, installed(ways, book), workshop, book)
            for kind in asked.payloads:
                for count in asked.nodes:
                    cell = Cell(nodes.all[:count], kind, partial(workshop.tiny, kind))
                    measure(cell, working, workshop, asked.rounds, book)
        finally:  # also what was measured before an interruption
            minutes = (time.monotonic() - began) / 60
            print(headline(asked, workshop, busy, minutes), tables(book, ways), sep="\n\n", flush=True)
    return 1 if "sandod" in book.troubles else 0


def arguments() -> argparse.Namespace:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="contrib/bench/deploy", description=lines[0])
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="of every cell (default 3)")
    add("--nodes", type=commas(int), default=[1, 4, 16], help="default 1,4,16")
    add("--payloads", type=commas(payloads.kind), default="5MB,50MB,tree", help="default 5MB,50MB,tree")
    add("--ways", type=commas(way_name), default=list(NAMES), help=f"default {','.join(NAMES)}")
    add("--random", action="store_true", help="payloads that cannot be compressed at all")
    add(
        "--work",
        type=Path,
        help="make the run's folder here, for one on a disk (default: in memory if it fits)",
    )
    add("--peers", type=Path, help="install the peers here and leave them for the next run")
    asked = parser.parse_args()
    if asked.rounds < 1 or not all(1 <= count <= 64 for count in asked.nodes):
        parser.error("at least one round, and 1 to 64 nodes")
    asked.work = (asked.work or place(asked.payloads, max(asked.nodes))).absolute()
    if lacking := lacks_room(asked.work, asked.payloads, max(asked.nodes)):
        parser.error(lacking)
    return asked


def commas(one: Callable[[str], object]) -> Callable[[str], list[object]]:
    def parse(text: str) -> list[object]:
        try:
            return [one(part) for part in text.split(",")]
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


def way_name(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"{name!r} is no way: {', '.join(NAMES)}")
    return name


def make_ways(asked: argparse.Namespace, work: Path, nodes: Nodes) -> list[Way]:
    peers = Peers(work, asked.peers and asked.peers.absolute())
    ways: list[Way] = [Tar(nodes), Rsync(nodes, warm=False), Rsync(nodes, warm=True)]
    ways += [kind(nodes, peers) for kind in (Fabric, Pyinfra, Ansible, Capistrano)]
    ways += [Sandod(work, nodes)]
    return [way for way in ways if way.name in asked.ways]


def installed(ways: list[Way], book: Book) -> list[Way]:
    usable = []
    for way in ways:
        try:
            way.install()
            usable.append(way)
        except NotInstalled as error:
            book.troubles[way.name] = f"is not installed: {error}"
            book.absent.add(way.name)
            say(f"{way.name}: {error}")
    return usable


def rehearse(nodes: Nodes, ways: list[Way], workshop: Workshop, book: Book) -> list[Way]:
    """One small turn of every way on one node, not counted: files are in memory, and what is broken is known early.

    Answers the ways that work.
    """
    kind = Kind("rehearsal", 100_000)
    cell = Cell(nodes.all[:1], kind, partial(workshop.tiny, kind))
    working = []
    with releases(workshop, kind) as (former, release), opened(cell, ways, partial(fail, book)) as able:
        for way in able:
            say(f"rehearsal: {way.name}")
            try:
                turn(way, cell, former, release)
                working.append(way)
            except WayFailed as error:
                fail(book, way, error)
    return working


def measure(cell: Cell, ways: list[Way], workshop: Workshop, rounds: int, book: Book) -> None:
    """All rounds of one cell; a peer that is slow, and whatever fails, is not asked again in it."""
    with opened(cell, ways, partial(fail, book)) as able:
        out: set[str] = set()
        for number in range(rounds):
            say(f"{cell.kind.name} ×{len(cell.nodes)}: round {number + 1} of {rounds}")
            with releases(workshop, cell.kind) as both:
                shift = number % max(1, len(able))
                for way in able[shift:] + able[:shift]:
                    if way.name not in out and not ask(way, cell, both, book):
                        out.add(way.name)


def ask(way: Way, cell: Cell, both: tuple[Release, Release], book: Book) -> bool:
    """One turn into the book; answers whether another one is wanted."""
    try:
        took = turn(way, cell, *both)
    except WayFailed as error:
        fail(book, way, error)
        return False
    for section, seconds in took.items():
        book.add(section, way, (cell.kind.name, len(cell.nodes)), seconds)
    return way.needed or max(took.values()) < SLOW_S


def fail(book: Book, way: Way, error: WayFailed) -> None:
    book.troubles[way.name] = f"failed: {error}"
    say(f"{way.name} failed: {error}")


def quietly(act: Callable[[], None]) -> None:
    """To the end, whatever signal comes meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    act()


def headline(asked: argparse.Namespace, workshop: Workshop, busy: float, minutes: float) -> str:
    return (
        f"{asked.rounds} rounds, {os.cpu_count()} cores (load {busy:.1f} before), Python "
        f"{platform.python_version()}, in {asked.work}, payloads compress to {workshop.compressed_to:.0%}; {minutes:.0f} minutes"
    )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
