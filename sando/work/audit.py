"""What lies on the disk and on the nodes, for an audit of the state: it looks, and removes only what it is told to."""

import os
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
from sando.work.backup.seal import fingerprint
from sando.work.backup.trouble import NoDump
from sando.work.build import STAGING
from sando.work.cancel import CancelToken
from sando.work.descendants import tree
from sando.work.hosts import Parcels, connect
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
    """What the `current` of every node in service names, and what was left there; each is asked once, all at the same time."""
    nodes = [(t, n) for t in topology.tiers if t.provisioned for n in t.nodes_in()]
    parcels = Parcels(workdir)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda pair: _link(pair[0], pair[1], parcels), nodes))


def _link(tier: TierSpec, node: NodeSpec, parcels: Parcels) -> Link:
    way = connect(node, parcels)
    try:
        host = way.host(CancelToken())
        current, left = host.read_current(), host.leftovers()
    except SandoError as error:
        return Link(tier.name, node.name, lost=str(error))
    finally:
        way.close()
    here = node.ssh_target == LOCAL
    return Link(
        tier.name, node.name, current.version, current.dangling, current.foreign, left=left, here=here
    )


# -- leftovers -------------------------------------------------------------------------------------------------


def leftovers(topology: Topology, books: Books, workdir: str, release_root: str) -> Iterator[Finding]:
    """Staging, logs and half a fetch that no operation owns any more."""
    if not books.building:
        yield from _staging(Path(release_root, STAGING))
    if not books.fetching and topology.backup:
        yield from _fetches(topology.backup)
    yield from _logs(books, Path(workdir, "logs"))
    yield from _aside(Path(workdir))


def _staging(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield _left("the store", f"{path} is half staged, and no build runs", path)


def _fetches(spec: BackupSpec) -> Iterator[Finding]:
    for path in place.left(Path(spec.local_path)):
        yield _left("the backup", f"{path} is half a fetch, and none runs", path)


def _aside(workdir: Path) -> Iterator[Finding]:
    """What another user owned in a checkout (see `checkout`): sandod could not remove it, and will not."""
    for path in sorted([*workdir.glob("checkout.aside-*"), *workdir.glob("tiers/*/checkout.aside-*")]):
        detail = f"{path} has files of another user, which were in the way of a build"
        yield Finding("leftover", "the checkout", detail, f"remove it as root: rm -r {path}", str(path))


def fetched(topology: Topology, books: Books) -> Iterator[Finding]:
    """What was fetched last lies where it was put, byte for byte."""
    known, spec = books.backup, topology.backup
    if known is None or spec is None or not known.is_of(spec) or books.fetching:
        return
    path, was = Path(spec.local_path), known.fetched
    try:
        bytes_, sha256 = fingerprint(path, _on)
    except (OSError, NoDump) as error:
        said = error.strerror if isinstance(error, OSError) else error
        yield _no_backup(f"{path}: {said}; operation {known.operation} fetched it")
        return
    if (bytes_, sha256) != (was.bytes, was.sha256):
        yield _no_backup(
            f"{path} is not what operation {known.operation} fetched: {bytes_} bytes with sha256 {sha256[:12]}…, "
            f"not {was.bytes} with {was.sha256[:12]}…"
        )


def _on() -> None:
    """Nobody stops a look."""


def _no_backup(detail: str) -> Finding:
    return Finding("backup", "the backup", visible(detail), "POST /backup/fetch brings it again")


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
