"""The clock: one round of one way in a cell, from empty release roots to a rollback, each step timed and its result checked.

What happens between the steps is never timed.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from filecmp import cmp
from pathlib import Path

from payloads import SUMS, Kind, Release, Workshop
from shell import WayFailed
from table import BACK, FIRST, NEXT
from ways import Cell, Way

Tell = Callable[[Way, WayFailed], None]
Steps = dict[str, float]
"""Seconds by section of the table."""


def turn(way: Way, cell: Cell, former: Release, release: Release) -> Steps:
    """Deploy `former` to empty nodes, then `release`, then go back. WayFailed when one of them is not done or not right."""
    took: Steps = {}

    def timed(section: str, act: Callable[[], None], goal: Release) -> None:
        os.sync()  # what was written before is not this step's to wait for
        began = time.perf_counter()
        act()
        took[section] = time.perf_counter() - began
        check(way, cell, goal)

    empty(way, cell)
    try:
        if way.first_label:
            way.prepare(former)
            timed(FIRST, lambda: way.first(former), former)
        else:
            stage(way, cell, former)
        if way.next_label:
            way.prepare(release)
            timed(NEXT, lambda: way.next(former, release), release)
        elif way.back_label:
            stage(way, cell, release)
        if way.back_label:
            timed(BACK, lambda: way.back(former), former)
    finally:
        empty(way, cell)
    return took


@contextlib.contextmanager
def opened(cell: Cell, ways: list[Way], tell: Tell) -> Iterator[list[Way]]:
    """The ways that could be opened, each with empty release roots; the others are told."""
    able = []
    try:
        for way in ways:
            empty(way, cell)
            try:
                way.open(cell)
                able.append(way)
            except WayFailed as error:
                tell(way, error)
        yield able
    finally:
        close_all(ways)


@contextlib.contextmanager
def releases(workshop: Workshop, kind: Kind) -> Iterator[tuple[Release, Release]]:
    """A fresh release and its 1 % changed successor, for one round."""
    former = workshop.fresh(kind)
    release = workshop.changed(former)
    yield former, release
    former.discard()
    release.discard()


def stage(way: Way, cell: Cell, release: Release) -> None:
    """Put a release on the nodes without the way: for what it is not measured for."""
    for node in cell.nodes:
        root = way.root(node)
        shutil.copytree(release.folder, root / "releases" / release.version)
        (root / ".stage").symlink_to(f"releases/{release.version}")
        (root / ".stage").rename(root / "current")


def check(way: Way, cell: Cell, release: Release) -> None:
    """Every node names the release, and the last one has it byte by byte."""
    for node in cell.nodes:
        link = way.root(node) / "current"
        if not link.is_symlink() or link.readlink().name != release.version:
            raise WayFailed(f"{way.name} says that it is done, and {node.name} is not on {release.version}")
    for path in (p for p in release.folder.rglob("*") if p.is_file() and p.name != SUMS):
        if not same(path, link / path.relative_to(release.folder)):
            raise WayFailed(f"{path.name} on {node.name} is not what {way.name} was to deploy")


def same(one: Path, other: Path) -> bool:
    try:
        return cmp(one, other, shallow=False)
    except OSError:
        return False


def empty(way: Way, cell: Cell) -> None:
    """Fresh release roots; the folders themselves stay."""
    for node in cell.nodes:
        way.root(node).mkdir(exist_ok=True)
        for path in way.root(node).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def close_all(ways: list[Way]) -> None:
    for way in ways:
        way.close()
