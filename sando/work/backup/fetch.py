"""Fetches the production backup beside the old one, looks whether it is whole, and puts it in its place."""

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from msgspec import structs

from sando.failpoints import reached
from sando.model.backup import Arriving, Fetched
from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.topology import BackupSpec
from sando.work.backup import place, trouble
from sando.work.backup.arrival import LIMITS, Limits, Progress, Tell, told
from sando.work.backup.carrier import Carrier
from sando.work.backup.dump import Dump, begins_as_dump, examine, form
from sando.work.backup.seal import fingerprint
from sando.work.backup.source import STEP, Source, parse, program
from sando.work.backup.trouble import NoDump
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Keepers, clean_env

_PACKAGES = {"ssh": "openssh-client", "rsync": "rsync"}


def _nobody(_: Arriving) -> None:
    """Nobody wants to know how far it is."""


def fetch(
    spec: BackupSpec,
    log: OpLog,
    keepers: Keepers,
    cancel: CancelToken,
    tell: Tell = _nobody,
    limits: Limits = LIMITS,
) -> Fetched:
    """Bring `spec.source` to `spec.local_path`, a file or the folder of one dump; a link there is followed.

    WorkError, errored when it could not run, and Cancelled leave the old one as it was, and nothing beside it.
    """
    cancel.check()
    began = time.monotonic()
    try:
        fetched = _fetch(spec, log, keepers, cancel, tell, limits)
    except WorkError as error:
        log.say(visible(str(error)))
        raise
    seconds = round(time.monotonic() - began, 3)
    log.say(f"backup: {fetched.kind}, {fetched.bytes} bytes in {span(seconds)}, sha256 {fetched.sha256}")
    return structs.replace(fetched, seconds=seconds)


def _fetch(
    spec: BackupSpec, log: OpLog, keepers: Keepers, cancel: CancelToken, tell: Tell, limits: Limits
) -> Fetched:
    source, target = parse(spec.source), Path(spec.local_path)
    log.say(f"backup: fetch {visible(source.shown)}")
    try:
        _check_here(source, spec, target)
        target = target.resolve()
        folder = place.stage(target)
        try:
            carrier = Carrier(source, spec, folder, log, keepers, cancel, limits, Progress(tell, log))
            return _Fetch(carrier, target).run()
        finally:
            place.remove(folder)
    except OSError as error:
        raise WorkError(STEP, f"cannot write {target}: {error.strerror}", errored=True) from error


def sweep(spec: BackupSpec) -> None:
    """At start, while none runs: what a killed fetch left is put right. What cannot be stays for the next fetch."""
    target = Path(spec.local_path)
    with suppress(OSError):
        if target.parent.is_dir():
            place.sweep(target.resolve())


class _Fetch:
    def __init__(self, carrier: Carrier, target: Path) -> None:
        self.carrier = carrier
        self.source = carrier.source
        self.target = target
        self.size = 0
        self.until = time.monotonic() + carrier.limits.total_s

    def run(self) -> Fetched:
        """The new one is in its place. WorkError and Cancelled: the old one is."""
        before = _look(self.source, self.target) if self.source.scheme == "file" else None
        try:
            new = self.carrier.bring()
            self.size = place.size_of(new)
            if before and before != _look(self.source, self.target):
                raise trouble.changed(self.source)
            size, sha256 = fingerprint(new, self._goes_on, seal=True)
            dump = examine(new, self._goes_on)
            self._compare(dump)
        except NoDump as why:
            raise trouble.told(self.source, str(why)) from None
        warnings = tuple(filter(None, (dump.warning, self._shrunk(new, size))))
        self.carrier.cancel.check()
        reached("backup.arrived")
        place.put(new, self.target)
        reached("backup.placed")
        warnings = tuple(filter(None, (*warnings, self._keep_name())))
        for warning in warnings:
            self.carrier.log.say(f"warning: {warning}")
        spec = self.carrier.spec
        return Fetched(spec.source, spec.local_path, size, sha256, dump.kind, 0.0, warnings)

    def _compare(self, dump: Dump) -> None:
        """What a failed script left in place of a dump takes no good one's place."""
        if dump.kind.startswith("unknown") and begins_as_dump(self.target):
            raise NoDump(
                f"{dump.warning}; the last one was a dump, and stays: look at what writes the source, or name another "
                "local_path for this one"
            )

    def _goes_on(self) -> None:
        self.carrier.cancel.check()
        self.carrier.progress.at("check", self.size, self.size)
        if time.monotonic() > self.until:
            raise trouble.told(self.source, "timed out while it was looked through", errored=True)

    def _shrunk(self, new: Path, size: int) -> str:
        """Packed, or written in another form, the same data are smaller: that says nothing."""
        last = place.size_of(self.target)
        if size * 2 >= last or form(new) != form(self.target):
            return ""
        return f"it has {told(size)}, less than half of the last one ({told(last)}): look whether it is whole"

    def _keep_name(self) -> str:
        """The new one is in its place whatever comes of this, so that a problem is no failed fetch."""
        try:
            place.sync(self.target.parent)
        except OSError as error:
            return f"cannot fsync {self.target.parent}: {error.strerror}"
        return ""


def _check_here(source: Source, spec: BackupSpec, target: Path) -> None:
    """What can be told before anything is started."""
    name = program(source)
    if shutil.which(name, path=clean_env()["PATH"]) is None:
        package = _PACKAGES.get(name, name)
        raise WorkError(STEP, f"{name} is not installed here: install it (package {package})", errored=True)
    plain = os.path.normpath(target) == str(target) and target.is_absolute() and str(target).isprintable()
    if not plain:
        raise WorkError(STEP, "[backup] local_path must be a plain absolute path", errored=True)
    place.check(target)
    keys = {"identity_file": spec.identity_file, "known_hosts": spec.known_hosts}
    for key, path in keys.items() if name == "ssh" else ():
        if path is not None and not os.access(path, os.R_OK):
            raise WorkError(STEP, f"cannot read {visible(path)} ([backup] {key})", errored=True)


def _look(source: Source, target: Path) -> tuple[object, ...]:
    """What says that a file or folder of this machine is still the same, untouched."""
    try:
        info = os.stat(source.path)  # noqa: PTH116  (a Path would show another text than the config)
        if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
            raise trouble.told(source, "it is neither a file nor a folder: name the dump itself")
        if not os.access(source.path, os.R_OK):
            raise trouble.told(source, "sandod's user may not read it: chmod or chown it")
        if target.exists() and target.samefile(source.path):
            raise WorkError(STEP, f"[backup] source and local_path are one, {target}", errored=True)
        inside = _inside(source.path) if stat.S_ISDIR(info.st_mode) else ()
    except OSError as error:
        raise trouble.told(source, f"cannot be read: {error.strerror}") from error
    return _marks("", info), inside


def _inside(path: str) -> tuple[object, ...]:
    with os.scandir(path) as entries:
        return tuple(sorted(_marks(entry.name, entry.stat()) for entry in entries))


def _marks(name: str, info: os.stat_result) -> tuple[str, int, int, int]:
    return name, info.st_ino, info.st_size, info.st_mtime_ns
