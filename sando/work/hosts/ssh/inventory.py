"""The releases of a node over SSH: checked by hash there, brought as parcels, removed; knows no `current`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sando.model.errors import WorkError
from sando.model.names import is_version, visible
from sando.model.release import MANIFEST, FileEntry, read_manifest
from sando.work.digest import listed
from sando.work.hosts.base import refuse_in_use
from sando.work.hosts.listing import refuse_odd_names, state
from sando.work.hosts.packing import Packing
from sando.work.hosts.parcel import Parcel, Parcels, Wish, list_alone
from sando.work.hosts.ssh.calls import CALL_S, HASHED_PER_S, Calls
from sando.work.hosts.ssh.differences import what_differs
from sando.work.hosts.ssh.reply import Reply

_FEW = 8  # files that are named in a call
_MANY = 256  # files, of which a rollback looks at their folders alone


class Known:
    """By release: what the last full look at its files left, and at its folders."""

    def __init__(self) -> None:
        self.whole: dict[str, str] = {}
        self.glance: dict[str, str] = {}

    def learn(self, version: str, reply: Reply) -> None:
        for stamps, key in ((self.whole, "stamp"), (self.glance, "glance")):
            stamps.pop(version, None)
            if stamp := reply.get(key):
                stamps[version] = stamp

    def forget(self, version: str) -> None:
        self.whole.pop(version, None)
        self.glance.pop(version, None)


class Stamps:
    """Of no use on another connection: the node may be another, too."""

    def __init__(self) -> None:
        self._connection: object = None
        self._known = Known()

    def on(self, connection: object) -> Known:
        if connection is not self._connection:
            self._connection, self._known = connection, Known()
        return self._known


class _Base(NamedTuple):
    """A release that the node and the store both have."""

    version: str
    files: Sequence[FileEntry]


class Inventory:
    """Of one job; `stamps` is kept with the node's link."""

    def __init__(self, calls: Calls, parcels: Parcels, stamps: Stamps) -> None:
        self._calls = calls
        self._parcels = parcels
        self._stamps = stamps

    def check(self, version: str, files: Sequence[FileEntry] | None) -> str | None:
        return self._check_own(version) if files is None else self._look("check", version, files)[1]

    def survey(self, version: str, files: Sequence[FileEntry], *, hurry: bool) -> tuple[Reply, str | None]:
        """The same, with all else that `survey` of node.sh tells, in one call; `hurry`: of many files see `glance` there."""
        self._calls.fresh()  # a rollback of others does not wait half a minute for a node that hangs
        known = self._known()
        if hurry and len(files) > _MANY and (stamp := known.glance.get(version)):
            reply = self._calls.ask("at", self._calls.line.current, "survey", "glance", version, stamp)
            if self._known() is known and not reply.get("needs"):
                return reply, reply.get("wrong")
        return self._look("survey check", version, files)

    def _look(self, how: str, version: str, files: Sequence[FileEntry]) -> tuple[Reply, str | None]:
        refuse_odd_names(files)
        known = self._known()
        call = ("at", self._calls.line.current, *how.split(), version, *state(files))
        seconds = hashing(files)
        reply = self._calls.ask(*call, known.whole.get(version, ""), *_few(files), seconds=seconds)
        if self._known() is not known:  # the connection was opened anew for this call
            known = self._known()
            reply = self._calls.ask(*call, "", seconds=seconds)
        if reply.get("needs") == "list":
            self._send_list(version, files)
            reply = self._calls.ask(*call, "", seconds=seconds)
        if reply.get("needs"):
            return reply, what_differs(self._calls.ask("details", version, seconds=seconds).output, files)
        if reply.get("stamp"):
            known.learn(version, reply)
        return reply, reply.get("wrong")

    def put(self, version: str, source: Path, files: Sequence[FileEntry], operation: int) -> bool:
        """A connection that is lost on the way is opened anew, once; one that does not answer in time is not."""
        refuse_odd_names(files)
        try:
            return self._bring(version, source, files, operation)
        except WorkError as error:
            if error.step != "connection" or isinstance(error.__cause__, TimeoutError):
                raise
            self._bring(version, source, files, operation)  # nothing is sent where only the answer was lost
            return True

    def versions(self) -> tuple[str, ...]:
        return self._calls.ask("releases").all("release")

    def remove(self, version: str) -> None:
        known = self._known()
        known.forget(version)
        pairs = [word for pair in known.whole.items() for word in pair]
        reply = self._calls.ask("remove", version, *pairs, seconds=4 * CALL_S)
        known.whole.clear()  # the stamps of releases that share a file with it are others now
        known.whole.update((name, stamp) for name, _, stamp in (a.partition(" ") for a in reply.all("again")))

    def _known(self) -> Known:
        return self._stamps.on(self._calls.line.open(self._calls.cancel))

    # -- uploads -----------------------------------------------------------------------------------------------

    def _bring(self, version: str, source: Path, files: Sequence[FileEntry], operation: int) -> bool:
        """False: it is there already, and right."""
        refused = ""
        for whole in (False, True):
            offer = self._calls.ask("offer", operation, version, seconds=4 * CALL_S)
            if offer.get("there"):
                if (wrong := self.check(version, files)) is None:
                    return False
                if offer.get("running") == version:
                    raise refuse_in_use(version, wrong)
                offer = self._calls.ask("offer", operation, seconds=4 * CALL_S)
            there = [v for v in offer.all("release") if v != version]
            base = None if whole else _choose(source.parent, files, there, offer.get("running"))
            parcel = self._parcel(version, source, files, base)
            refused = self._send(version, files, offer.get("staged") or "", parcel)
            if not refused:
                return True
            if not parcel.base:
                break
        self._parcels.forget()  # the store may be mended
        raise WorkError(
            "upload", f"{version} does not arrive as it is in the store ({source}): {refused}", errored=True
        )

    def _send(self, version: str, files: Sequence[FileEntry], staged: str, parcel: Parcel) -> str:
        """Empty, or why the node needs all of it."""
        known, base = self._known(), parcel.base or ""
        reply = self._calls.feed(
            "receive", staged, parcel.size, parcel.packing, version, base, known.whole.pop(base, ""), *state(files),
            "many" if len(files) > _MANY else "", *_few(files), data=parcel.data, after_s=hashing(files),
        )  # fmt: skip
        if stamp := reply.get("base"):
            known.whole[base] = stamp
        if reply.get("stamp"):
            known.learn(version, reply)
            return ""
        known.forget(base)
        return reply.get("needs") or "the node did not say why"

    def begin_packing(
        self, version: str, source: Path, files: Sequence[FileEntry], seen: Reply, running: str | None
    ) -> None:
        """What the upload will most likely ask for, a moment later; `seen` by `survey`."""
        base = _choose(source.parent, files, [v for v in seen.all("release") if v != version], running)
        self._parcels.begin(
            self._wish(source.parent, version, files, base), files, base.files if base else ()
        )

    def _wish(self, store: Path, version: str, files: Sequence[FileEntry], base: _Base | None) -> Wish:
        hello = self._calls.line.hello
        has = hello.all("has") if hello else ()
        packing: Packing = "zstd" if "zstd" in has else "gzip" if "gzip" in has else "plain"
        name = base.version if base else None
        return Wish(store, version, state(files), name, packing, patches="patch-from" in has)

    def _parcel(self, version: str, source: Path, files: Sequence[FileEntry], base: _Base | None) -> Parcel:
        wish, old = self._wish(source.parent, version, files, base), base.files if base else ()
        try:
            return self._parcels.get(wish, files, old, self._calls.cancel)
        except (OSError, ValueError) as error:
            if base:  # it may have been removed from the store meanwhile
                return self._parcel(version, source, files, None)
            what = str(error)
            if isinstance(error, OSError):
                what = f"{error.strerror or error} ({error.filename or 'no room in the work folder?'})"
            raise WorkError("upload", f"cannot pack {version} ({source}): {what}", errored=True) from error

    # -- lists -------------------------------------------------------------------------------------------------

    def _send_list(self, version: str, files: Sequence[FileEntry]) -> None:
        data = list_alone(files)
        self._calls.feed("take_list", version, len(data), data=data, after_s=CALL_S)

    def _check_own(self, version: str) -> str | None:
        """Against the manifest that lies in the release itself: the store does not have it any more."""
        reply = self._calls.ask("manifest", version)
        if wrong := reply.get("wrong"):
            return wrong
        try:
            files = read_manifest(reply.output).files
        except ValueError as error:
            return f"its {MANIFEST} cannot be understood: {visible(str(error))}"
        return self.check(version, files)


def _few(files: Sequence[FileEntry]) -> list[str]:
    """Their names, where they are few: a node that knows them needs no process to read its list."""
    return [f.path for f in files] if len(files) <= _FEW else []


def hashing(files: Sequence[FileEntry]) -> float:
    """Seconds that a slow node may take to read all of it."""
    return CALL_S + sum(f.size for f in files) / HASHED_PER_S


def _choose(
    store: Path, files: Sequence[FileEntry], there: Sequence[str], running: str | None
) -> _Base | None:
    """What runs on the node, where the store has it; else what has most of the new one, not what a clock calls newest."""
    usable = list(_in_store(store, there))
    wanted = {f.sha256: f.size for f in files}

    def worth(base: _Base) -> tuple[bool, int]:
        return base.version == running, sum(wanted.get(sha, 0) for sha in {f.sha256 for f in base.files})

    return max(usable, key=worth, default=None)


def _in_store(store: Path, versions: Iterable[str]) -> Iterator[_Base]:
    for version in filter(is_version, versions):
        with suppress(WorkError):
            yield _Base(version, listed(store / version))
