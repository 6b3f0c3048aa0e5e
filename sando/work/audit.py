"""What lies on the disk and on the nodes, for an audit of the state: it looks, and removes only what it is told to."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sando.model.audit import REPAIR, Books, Folder, Link
from sando.model.errors import SandoError, WorkError
from sando.model.finding import Finding
from sando.model.names import is_version, visible
from sando.model.topology import LOCAL, BackupSpec, NodeSpec, TierSpec, Topology
from sando.work import digest
from sando.work.backup import place
from sando.work.build import STAGING
from sando.work.cancel import CancelToken
from sando.work.descendants import tree
from sando.work.hosts import Parcels, connect
from sando.work.hosts.base import PRIVATE, STALE_S
from sando.work.log import SHARD
from sando.work.tree import remove_tree

_AT_ONCE = 16


def folders(release_root: str) -> list[Folder]:
    """Every release of the store, each file of it hashed."""
    with ThreadPoolExecutor(_AT_ONCE // 4) as pool:
        return list(pool.map(_folder, sorted(_names(Path(release_root)))))


def _names(root: Path) -> Iterator[Path]:
    for path in root.iterdir() if root.is_dir() else ():
        if is_version(path.name) and path.is_dir():
            yield path


def _folder(path: Path) -> Folder:
    try:
        wrong = digest.verify(path)
        return Folder(path.name, str(path), wrong, "" if wrong else digest.digest_of(digest.listed(path)))
    except WorkError as error:  # damaged, or removed under the look
        return Folder(path.name, str(path), error.detail)


def links(topology: Topology, workdir: str) -> list[Link]:
    """What the `current` of every node in service names; each is asked once, all at the same time."""
    nodes = [(t, n) for t in topology.tiers if t.provisioned for n in t.nodes_in()]
    parcels = Parcels(workdir)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda pair: _link(pair[0], pair[1], parcels), nodes))


def _link(tier: TierSpec, node: NodeSpec, parcels: Parcels) -> Link:
    way = connect(node, parcels)
    try:
        current = way.host(CancelToken()).read_current()
    except SandoError as error:
        return Link(tier.name, node.name, lost=str(error))
    finally:
        way.close()
    return Link(tier.name, node.name, current.version, current.foreign)


# -- leftovers -------------------------------------------------------------------------------------------------


def leftovers(topology: Topology, books: Books, workdir: str, release_root: str) -> Iterator[Finding]:
    """Staging, logs and half a fetch that no operation owns any more."""
    kinds = {o.kind for o in books.unfinished}
    if "build" not in kinds:
        yield from _staging(Path(release_root, STAGING))
    if "backup" not in kinds and topology.backup:
        yield from _fetches(topology.backup)
    yield from _logs(books, Path(workdir, "logs"))
    for tier in topology.tiers:
        for node in tier.nodes_in():
            if node.ssh_target == LOCAL and not books.at_work(tier.name):
                yield from _incoming(tier.name, node)


def _staging(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield _left("the store", f"{path} is half staged, and no build runs", path)


def _fetches(spec: BackupSpec) -> Iterator[Finding]:
    for path in place.left(Path(spec.local_path)):
        yield _left("the backup", f"{path} is half a fetch, and none runs", path)


def _logs(books: Books, folder: Path) -> Iterator[Finding]:
    """Of an operation that the store never heard of, or of a shard whose gate has ended."""
    working = {o.id for o in books.unfinished}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name, shard, _ = path.name.partition(SHARD)
        number = name.removesuffix(".log")
        if not number.isdecimal() or int(number) in working:
            continue
        if int(number) > books.last_operation:
            yield _left("logs", f"{path} is of operation {number}, which the store does not have", path)
        elif shard:
            yield _left("logs", f"{path} is a shard's, and its gate has ended", path)


def _incoming(tier: str, node: NodeSpec) -> Iterator[Finding]:
    """An upload sweeps what is older than a day; younger ones may be somebody's."""
    folder = Path(node.release_root, PRIVATE, "incoming")
    for path in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
        if _older(path, STALE_S):
            yield _left(f"tier {tier}: {node.name}", f"{path} is an upload that nobody finished", path)


def _older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > seconds
    except FileNotFoundError:  # somebody finished it just now
        return False


def _left(subject: str, detail: str, path: Path) -> Finding:
    return Finding("leftover", subject, visible(detail), REPAIR, str(path), safe=True)


def repair(findings: list[Finding]) -> Iterator[str]:
    """Removes what is safe to remove, never through a link; a sentence for each, also where it could not be done."""
    for finding in findings:
        if not finding.safe:
            continue
        try:
            remove_tree(finding.path)
            yield f"removed {visible(finding.path)}"
        except OSError as error:
            yield f"cannot remove {visible(finding.path)}: {error.strerror}"


# -- processes -------------------------------------------------------------------------------------------------


def processes(workdir: str, keeper: int | None) -> Iterator[Finding]:
    """Those of builds and gates, known by their environment, that do not descend from the sandod `keeper`."""
    owned = {p.pid for p in tree(keeper)} if keeper else set()
    for pid in sorted(int(f.name) for f in Path("/proc").iterdir() if f.name.isdigit()):
        if pid not in owned and pid != os.getpid() and _of_a_build(pid, workdir.encode()):
            name = _read(pid, "comm").decode("utf-8", "replace").strip()
            detail = f"{visible(name)} belongs to a build or gate that nobody owns"
            yield Finding("process", f"process {pid}", detail, f"look at it with ps, and end it: kill {pid}")


def _of_a_build(pid: int, workdir: bytes) -> bool:
    environment = _read(pid, "environ")
    if b"SANDO_SHA=" not in environment:
        return False
    try:
        cwd = os.readlink(f"/proc/{pid}/cwd").encode()  # noqa: PTH115
    except OSError:
        cwd = b""
    return cwd.startswith(workdir + b"/") or workdir + b"/" in environment


def _read(pid: int, name: str) -> bytes:
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""
