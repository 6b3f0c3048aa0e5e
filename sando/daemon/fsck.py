"""`sandod fsck`: whether the store, its folders and the nodes agree. It changes nothing unless it is told to repair."""

import argparse
import fcntl
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from sando.daemon.instance import OnlyOne, StateInUse
from sando.model.audit import Books, audit, linked, shelved
from sando.model.errors import SandoError
from sando.model.finding import Finding
from sando.model.topology import DaemonSpec, Topology
from sando.store.look import Look
from sando.work import audit as disk

LOOKS = 4
AGAIN_S = 0.5
"""Beside a running sandod a look may come between two steps: what is wrong is wrong in every one of these."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--online", action="store_true", help="look beside a running sandod")
    parser.add_argument(
        "--repair", action="store_true", help="remove what no operation owns: staging, logs, half fetches"
    )
    parser.add_argument("--json", action="store_true", help="the findings as JSON")


def run(daemon: DaemonSpec, topology: Topology, locks: tuple[Path, ...], given: argparse.Namespace) -> int:
    """0: all agrees, 1: a line on stdout for each finding. Raises SandoError where nothing can be said."""
    holder = _holder(locks)
    if given.online and holder:
        if given.repair:
            raise SandoError(f"sandod (pid {holder}) runs: it repairs by itself; stop it to use --repair")
        return _tell(look_again(daemon, topology, holder), (), as_json=given.json)
    with _alone(locks):
        findings = look(daemon, topology, None)
        done = tuple(disk.repair(findings)) if given.repair else ()
        if done:
            findings = look(daemon, topology, None)
    return _tell(findings, done, as_json=given.json)


def look(daemon: DaemonSpec, topology: Topology, holder: int | None) -> list[Finding]:
    """Everything, once. `holder` is the sandod that runs, None: there is none."""
    store = Look(daemon.db_path)
    store.open()
    try:
        damage = list(store.damage())
        if damage:  # nothing else that it says can be gone by
            return [Finding("store", daemon.db_path, what, _DAMAGED, daemon.db_path) for what in damage]
        with store.reading():
            books = _books(store)
    finally:
        store.close()
    return [
        *audit(topology, books, alive=holder is not None),
        *shelved(books, disk.folders(daemon.release_root), daemon.release_root),
        *linked(books, disk.links(topology, daemon.workdir)),
        *disk.fetched(topology, books),
        *disk.leftovers(topology, books, daemon.workdir, daemon.release_root),
        *disk.processes(daemon.workdir, holder),
    ]


def _books(store: Look) -> Books:
    states = tuple(store.tier(name, whole=True) for name in store.tier_names())
    return Books(
        states=states,
        unfinished=tuple(store.unfinished()),
        rollouts=store.rollouts(),
        releases=store.every_release(),
        brought_by=store.named({s.current.operation for s in states if s.current}),
        last_operation=store.last_operation(),
        backup=store.backup(),
    )


def look_again(daemon: DaemonSpec, topology: Topology, holder: int | None) -> list[Finding]:
    """What every one of a few looks finds."""
    found = look(daemon, topology, holder)
    for _ in range(LOOKS - 1):
        if not found:
            break
        time.sleep(AGAIN_S)
        now = look(daemon, topology, holder)
        found = [finding for finding in found if finding in now]
    return found


# -- who else is here ----------------------------------------------------------------------------------------


def _holder(locks: tuple[Path, ...]) -> int | None:
    """The sandod that holds the first of the locks; nothing is made to find out."""
    try:
        with locks[0].open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
    except (OSError, ValueError):
        return None
    return None


@contextmanager
def _alone(locks: tuple[Path, ...]) -> Iterator[None]:
    """No sandod begins meanwhile."""
    there = [path for path in locks if path.parent.is_dir()]
    try:
        with OnlyOne(there):
            yield
    except StateInUse as error:
        raise SandoError(f"{error}; `sandod fsck --online` looks beside it") from None


# -- telling ---------------------------------------------------------------------------------------------------


def _tell(findings: list[Finding], done: tuple[str, ...], *, as_json: bool) -> int:
    if as_json:
        rows = [msgspec.to_builtins(f) for f in findings]
        print(json.dumps({"clean": not findings, "findings": rows, "repaired": done}, indent=2))  # noqa: T201
        return 1 if findings else 0
    for line in done:
        print(line)  # noqa: T201
    for finding in findings:
        print(finding.line())  # noqa: T201
    count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    print(count if findings else "clean", file=sys.stderr)  # noqa: T201
    return 1 if findings else 0


_DAMAGED = "stop sandod and put back the last good copy, see README, When something is wrong"
