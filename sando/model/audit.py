"""Whether the books agree with themselves, with the folders of the store, and with the nodes (SPEC 11). Pure."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from sando.model.backup import LastGood
from sando.model.finding import Finding
from sando.model.gates import GateRun, Outcome
from sando.model.names import visible
from sando.model.operation import Operation
from sando.model.release import Release
from sando.model.retention import kept_of
from sando.model.stay import Stay
from sando.model.tier import TierState
from sando.model.topology import Topology

DEPLOYS = frozenset({"promote", "rollback"})
START = "start sandod: it settles what a dead one left"


class Books(Struct, frozen=True):
    """What the store says. `rollouts` are the operations that have one, `brought_by` those that current stays name."""

    states: tuple[TierState, ...]
    unfinished: tuple[Operation, ...]
    rollouts: frozenset[int]
    releases: tuple[Release, ...]
    brought_by: dict[int, Operation]
    last_operation: int = 0
    backup: LastGood | None = None

    @property
    def building(self) -> bool:
        return any(o.kind == "build" for o in self.unfinished)

    @property
    def fetching(self) -> bool:
        return any(o.kind == "backup" for o in self.unfinished)

    def at_work(self, tier: str) -> bool:
        """Whether an operation holds what belongs to the tier: what is in motion agrees with nothing."""
        return any(o.tier == tier for o in self.unfinished)

    def state(self, tier: str) -> TierState:
        return next((s for s in self.states if s.name == tier), TierState(tier))


class Folder(Struct, frozen=True):
    """A folder of the release store: None as `wrong` says that it is complete against its manifest."""

    version: str
    path: str
    wrong: str | None = None
    digest: str = ""


class Link(Struct, frozen=True):
    """What a node's `current` names; `lost` says why nobody knows. `left` are the paths of uploads without an end.

    `dangling`: the folder that it names is not there. `here`: its folders are this machine's.
    """

    tier: str
    node: str
    version: str | None = None
    dangling: bool = False
    foreign: str = ""
    lost: str = ""
    left: tuple[str, ...] = ()
    here: bool = False


def audit(topology: Topology, books: Books, *, alive: bool) -> Iterator[Finding]:
    """The books by themselves. `alive`: a sandod runs, which owns what is at work."""
    yield from _operations(topology, books, alive=alive)
    for state in books.states:
        yield from _stays(state, books)
        yield from _gates(state, books)
        yield from _past_gates(state, books)


# -- operations ----------------------------------------------------------------------------------------------


def _operations(topology: Topology, books: Books, *, alive: bool) -> Iterator[Finding]:
    for operation in books.unfinished:
        subject = f"operation {operation.id}"
        what = " ".join(filter(None, (operation.kind, operation.version, "on", operation.tier)))
        if not alive:
            yield Finding("operation", subject, f"{what} is {operation.status}, and no sandod owns it", START)
        elif _begun(operation) and operation.id not in books.rollouts:
            yield Finding("operation", subject, f"{what} has no rollout: nobody knows its steps", _RESTART)
        elif topology.tier(operation.tier) is None and operation.kind in DEPLOYS:
            yield Finding("operation", subject, f"{what}: sando.toml names no such tier", _RESTART)
    if alive:
        yield from _too_many(books)
    for number in sorted(books.rollouts - {o.id for o in books.unfinished}):
        yield Finding("operation", f"operation {number}", "has ended and still has its rollout", _REPORT)


def _begun(operation: Operation) -> bool:
    """A rollback that waits for the promotion that it stops has no steps yet."""
    return operation.kind in DEPLOYS and operation.status != "queued"


def _too_many(books: Books) -> Iterator[Finding]:
    """One build in flight and one that waits; one deploy a tier."""
    running = [o for o in books.unfinished if o.status == "running"]
    lanes: dict[str, list[int]] = {}
    for operation in running:
        lane = f"tier {operation.tier}" if operation.kind in DEPLOYS else operation.kind
        if lane == "build" or operation.kind in DEPLOYS:
            lanes.setdefault(lane, []).append(operation.id)
    for lane, numbers in lanes.items():
        if len(numbers) > 1:
            yield Finding("operation", lane, f"operations {numbers} run at once", _RESTART)


# -- stays and gates -------------------------------------------------------------------------------------------


def _stays(state: TierState, books: Books) -> Iterator[Finding]:
    subject = f"tier {state.name}"
    known = {r.version: r for r in books.releases}
    numbers = [s.n for s in state.stays]
    if len(set(numbers)) != len(numbers):
        yield Finding("stay", subject, f"stays have the same number: {numbers}", _REPORT)
    current = state.current
    still = [s.version for s in state.stays if s.left_at is None and s is not current]
    if still:
        yield Finding("stay", subject, f"{', '.join(still)} never left, and is not current", _REPORT)
    if current is not None and current.left_at is not None:
        yield Finding("stay", subject, f"{current.version} is current and has left", _REPORT)
    if current is not None and current.version not in known:
        yield Finding("stay", subject, f"{current.version} is current, and no release has that name", _REPORT)
    elif current is not None and current.digest != known[current.version].digest:
        yield Finding(
            "stay", subject, f"{current.version} is current and was built again since", _deploy_again(state)
        )
    if state.half and not books.at_work(state.name) and state.half.version == state.current_version:
        yield Finding("stay", subject, f"half holds {state.half.version}, which is current", _REPORT)


def _gates(state: TierState, books: Books) -> Iterator[Finding]:
    """No gate says that it runs without an operation that runs it."""
    working = {o.id for o in books.unfinished}
    subject = f"tier {state.name}"
    if state.gating and state.gating.operation not in working:
        what = (
            f"gates of {state.gating.version} are under way, and operation {state.gating.operation} has ended"
        )
        yield Finding("gate", subject, what, _RESTART)
    stays = [state.current] if state.current else []
    runs: Iterable[GateRun] = (*(g for s in stays for g in s.gates), *state.tried)
    for run in runs:
        if run.outcome is Outcome.RUNNING and run.operation not in working:
            what = f"gate {run.gate} of {run.version} is running, and operation {run.operation} has ended"
            yield Finding("gate", subject, what, _run(state.name, run))


def _past_gates(state: TierState, books: Books) -> Iterator[Finding]:
    """The current version came here past its source's gates, or an operation says what it skipped, and who."""
    current = state.current
    brought = books.brought_by.get(current.operation) if current else None
    if current is None or brought is None or brought.kind != "promote":
        return
    source = books.state(str(brought.details.get("source", "")))
    stay = next((s for s in source.stays if s.n == brought.details.get("source_stay")), None)
    for run in _red(stay, brought) if stay and stay.version == current.version else ():
        what = f"{current.version} came from {source.name} by operation {brought.id} with {run.gate} {run.outcome}"
        yield Finding("gate", f"tier {state.name}", what, _run(source.name, run))


def _run(tier: str, run: GateRun) -> str:
    return f"sando gate run {tier} {run.gate}"


def _red(stay: Stay, brought: Operation) -> Iterator[GateRun]:
    """What had been judged when the promotion was accepted; a run that began later says nothing about it."""
    for run in stay.gates:
        skipped = bool(brought.details.get("hotfix")) and run.kind == "burn_in"
        if run.at < brought.created_at and run.outcome is not Outcome.PASSED and not skipped:
            yield run


# -- folders of the store -----------------------------------------------------------------------------------------


def shelved(books: Books, folders: Iterable[Folder], root: str) -> Iterator[Finding]:
    """Every release that is said to be there is, whole; every folder belongs to a release.

    One that is gone, and that no tier stands on or may go back to, is no finding: whoever wants it is told.
    """
    found = {f.version: f for f in folders}
    building = books.building
    needed = {version for state in books.states for version in kept_of(state, 0)}
    for release in books.releases:
        folder = found.pop(release.version, None)
        subject = f"release {visible(release.version)}"
        if release.present and folder is None:
            if release.version in needed:
                path = f"{root}/{release.version}"
                yield Finding("release", subject, f"{path} is gone", _lost(release), path)
        elif folder is not None and not release.present and release.version in needed:
            detail = f"{folder.path} is there, is recorded as removed, and a tier stands on it or may go back to it"
            yield Finding(
                "folder", subject, detail, "promote it anywhere: what is there is recorded then", folder.path
            )
        elif folder is not None and not release.present:
            detail = f"{folder.path} is there, and retention has removed it"
            yield Finding("folder", subject, detail, REPAIR, folder.path, safe=True)
        elif folder is not None and folder.wrong:
            yield Finding("release", subject, f"{folder.path}: {folder.wrong}", _lost(release), folder.path)
        elif folder is not None and folder.digest != release.digest and not building:
            detail = f"{folder.path} is whole, and another build than the one that is recorded"
            yield Finding("release", subject, detail, _lost(release), folder.path)
    for folder in found.values():
        if not building:
            detail = f"{folder.path} belongs to no release that is recorded"
            yield Finding(
                "folder", f"release {visible(folder.version)}", detail, _unknown(folder), folder.path
            )


def _lost(release: Release) -> str:
    return f"put the folder back; or sando rebuild {release.sha[:7]} --force, and promote what comes of it"


def _unknown(folder: Folder) -> str:
    return f"put back the backup of the state that knows it, or remove {folder.path}"


# -- nodes ----------------------------------------------------------------------------------------------------


def linked(books: Books, links: Iterable[Link]) -> Iterator[Finding]:
    """What each node's `current` names is what is recorded of it. A tier at work is looked at when it is done."""
    for link in links:
        if books.at_work(link.tier):
            continue
        node = books.state(link.tier).nodes.get(link.node)
        recorded = node.version if node else None
        subject = f"tier {link.tier}: {link.node}"
        if link.lost:
            yield Finding(
                "link", subject, f"cannot be asked: {visible(link.lost)}", "look again when it can be reached"
            )
        elif link.foreign:
            detail = f"current is {visible(link.foreign)}, no link into releases/; recorded is {recorded}"
            yield Finding("link", subject, detail, f"sando promote {link.tier} --force keeps it aside")
        elif link.version != recorded:
            yield Finding(
                "link", subject, f"current names {link.version}, recorded is {recorded}", _repair(books, link)
            )
        elif link.dangling:
            detail = f"current names {link.version}, whose folder is not there"
            yield Finding("link", subject, detail, _repair(books, link))
        yield from _unfinished(subject, link)


def _unfinished(subject: str, link: Link) -> Iterator[Finding]:
    for path in link.left:
        detail = f"{visible(path)} is an upload that nobody finished"
        if link.here:
            yield Finding("leftover", subject, detail, REPAIR, path, safe=True)
        else:
            yield Finding("leftover", subject, detail, "the next upload to it sweeps it")


def _repair(books: Books, link: Link) -> str:
    version = books.state(link.tier).current_version
    if version is None:
        return f"nothing was ever promoted to {link.tier}: remove the link, or promote a version"
    return f"sando promote {link.tier} {version} puts it right"


def _deploy_again(state: TierState) -> str:
    return f"sando promote {state.name} --force brings what is built now"


REPAIR = "sandod fsck --repair removes it"
_RESTART = "restart sandod: a start settles it"
_REPORT = "put back the last good copy of the store (README, When something is wrong), and report this"
