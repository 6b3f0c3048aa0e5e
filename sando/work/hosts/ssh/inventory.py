"""The releases of a node over SSH: checked by hash there, brought as parcels, removed; knows no `current`."""

from collections.abc import Sequence
from pathlib import Path

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.release import MANIFEST, FileEntry, read_manifest
from sando.work.digest import listed
from sando.work.hosts.parcel import Packing, Parcel, Parcels, Wish, listing, refuse_odd_names, state
from sando.work.hosts.ssh.calls import CALL_S, HASHED_PER_S, Calls

_REGULAR = 0o170000


class Inventory:
    """`stamps` is what the last full look at each release left, kept with the connection."""

    def __init__(self, calls: Calls, parcels: Parcels, stamps: dict[str, str]) -> None:
        self._calls = calls
        self._parcels = parcels
        self._stamps = stamps

    def check(self, version: str, files: Sequence[FileEntry] | None) -> str | None:
        if files is None:
            return self._check_own(version)
        refuse_odd_names(files)
        wanted, seconds = state(files), hashing(files)
        reply = self._calls.ask("check", version, wanted, self._stamps.get(version, ""), seconds=seconds)
        if reply.get("needs"):
            self._send_list(version, files)
            reply = self._calls.ask("check", version, wanted, "", seconds=seconds)
        if reply.get("needs"):
            return self._what_differs(version, files, seconds)
        if stamp := reply.get("stamp"):
            self._stamps[version] = stamp
        return reply.get("wrong")

    def put(self, version: str, source: Path, files: Sequence[FileEntry], operation: int) -> None:
        refuse_odd_names(files)
        base = self._base(source.parent, version)
        refused = self._send(version, source, files, operation, base)
        if refused and base:
            # What the node has under that name is not what the store has: it is no base for anything.
            self._stamps.pop(base, None)
            refused = self._send(version, source, files, operation, None)
        if refused:
            raise WorkError(
                "upload",
                f"{version} does not arrive as it is in the store ({source}): {refused}",
                errored=True,
            )

    def versions(self) -> tuple[str, ...]:
        return self._calls.ask("releases").all("release")

    def remove(self, version: str) -> None:
        self._stamps.pop(version, None)
        self._calls.ask("remove", version, seconds=4 * CALL_S)

    def _send(
        self, version: str, source: Path, files: Sequence[FileEntry], operation: int, base: str | None
    ) -> str | None:
        """None, or why the node needs all of it."""
        parcel = self._parcel(version, source, files, base)
        reply = self._calls.feed(
            "receive", operation, parcel.size, parcel.packing, version, parcel.base or "", state(files),
            data=parcel.data, after_s=hashing(files),
        )  # fmt: skip
        if stamp := reply.get("stamp"):
            self._stamps[version] = stamp
            return None
        return reply.get("needs") or "the node did not say why"

    def _parcel(self, version: str, source: Path, files: Sequence[FileEntry], base: str | None) -> Parcel:
        hello = self._calls.line.hello
        has = hello.all("has") if hello else ()
        packing: Packing = "zstd" if "zstd" in has else "gzip" if "gzip" in has else "plain"
        wish = Wish(source.parent, version, base, packing, patches="patch-from" in has)
        old = listed(source.parent / base) if base else ()
        return self._parcels.get(wish, files, old, self._calls.cancel)

    def _base(self, store: Path, version: str) -> str | None:
        """A release that the node and the store both have: what runs there, else the newest one there."""
        reply = self._calls.ask("bases")
        usable = [v for v in reply.all("release") if v != version and (store / v / MANIFEST).is_file()]
        return usable[0] if usable else None

    def _send_list(self, version: str, files: Sequence[FileEntry]) -> None:
        data = listing(files)
        self._calls.feed("take_list", version, len(data), data=memoryview(data), after_s=CALL_S)

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

    def _what_differs(self, version: str, files: Sequence[FileEntry], seconds: float) -> str:
        output = self._calls.ask("details", version, seconds=seconds).output.decode("utf-8", "replace")
        modes, sums = {}, {}
        for text in output.splitlines():
            kind, _, rest = text.partition(" ")
            if kind == "mode":
                mode, size, path = rest.split(" ", 2)
                modes[path] = (int(mode, 16), int(size))
            elif len(kind) == 64:
                sums[rest.strip()] = kind
        return next(filter(None, (_difference(f, modes, sums) for f in files)), "it is not as it was built")


def hashing(files: Sequence[FileEntry]) -> float:
    """Seconds that a slow node may take to read all of it."""
    return CALL_S + sum(f.size for f in files) / HASHED_PER_S


def _difference(wanted: FileEntry, modes: dict[str, tuple[int, int]], sums: dict[str, str]) -> str | None:
    if wanted.path not in modes:
        return f"missing: {wanted.path}"
    mode, size = modes[wanted.path]
    if mode & _REGULAR != 0o100000:
        return f"{wanted.path}: is no regular file"
    if size != wanted.size:
        return f"{wanted.path}: has {size} bytes, not {wanted.size}"
    if sums.get(wanted.path) != wanted.sha256:
        return f"{wanted.path}: sha256 differs"
    if mode & 0o7777 != wanted.mode:
        return f"{wanted.path}: mode is {mode & 0o7777:04o}, not {wanted.mode:04o}"
    return None
