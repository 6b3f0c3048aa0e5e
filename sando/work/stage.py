"""Copies what a build made into a release folder: only from inside the checkout, only files, hashed as copied."""

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.release import MANIFEST, FileEntry, Manifest
from sando.model.topology import BuildSpec
from sando.work import inside
from sando.work.cancel import CancelToken
from sando.work.digest import learn
from sando.work.tree import move_tree, remove_tree

STEP = "stage"
_CHUNK = 2**20
_FSYNCS = 8  # at once: the file system commits them together


def collect(checkout: Path, spec: BuildSpec, target: Path, cancel: CancelToken) -> tuple[FileEntry, ...]:
    """Copy the artifact, and what there is of `extra`, into the new folder `target`; answers its files by path.

    A link inside the checkout becomes a copy of what it points at. WorkError says what cannot be staged.
    """
    source = inside.find(checkout, Path(spec.dir, spec.artifact), STEP, "[build] artifact")
    _can_start(checkout, spec, source)
    copy = _Copy(Path(os.path.realpath(checkout)), target, cancel)
    copy.add(source, _place(PurePosixPath(spec.artifact).name))
    for extra in spec.extra:
        path = Path(checkout, spec.dir, extra)
        if path.is_symlink() or path.exists():
            copy.add(inside.find(checkout, Path(spec.dir, extra), STEP, "[build] extra"), _place(extra))
    return tuple(sorted(copy.files, key=lambda entry: entry.path))


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest last, and everything to the disk."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    (folder / MANIFEST).write_bytes(text)
    paths = [folder, *folder.rglob("*")]
    with ThreadPoolExecutor(_FSYNCS) as pool:
        list(pool.map(_fsync, paths))


def place(staged: Path, release: Path) -> None:
    """Rename the staged folder to the release; what stands there was no good and goes."""
    aside = staged.with_name(f"{staged.name}.old")
    remove_tree(aside)
    if os.path.lexists(release):
        move_tree(release, aside)
    staged.rename(release)
    _fsync(release.parent)
    remove_tree(aside)


def _can_start(checkout: Path, spec: BuildSpec, source: Path) -> None:
    shown = inside.show(checkout, checkout / spec.dir / spec.artifact)
    mode = source.stat().st_mode
    if stat.S_ISDIR(mode):
        if not spec.run:
            raise WorkError(STEP, f"[build] run is required: the artifact {shown} is a folder")
        return
    if not stat.S_ISREG(mode):
        raise WorkError(STEP, f"the artifact {shown} is neither a file nor a folder")
    if source.stat().st_size == 0:
        raise WorkError(STEP, f"the artifact {shown} is empty")
    if not spec.run and not mode & stat.S_IXUSR:
        raise WorkError(STEP, f"the artifact {shown} is not executable: chmod +x it, or set [build] run")


def _place(path: str) -> PurePosixPath:
    """Where it lies in the release: as in the checkout, `..` left out; `.` is the release itself."""
    return PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in {"..", "/"}))


@dataclass(slots=True)
class _Copy:
    """One release being filled. `root` is the real path of the checkout."""

    root: Path
    target: Path
    cancel: CancelToken
    files: list[FileEntry] = field(default_factory=list)

    def add(self, source: Path, inner: PurePosixPath, above: tuple[Path, ...] = ()) -> None:
        """Copy `source`, a real path inside the root, to `inner`; `above` are the folders it was reached through."""
        self.cancel.check()
        _must_be_utf8(inner)
        mode = source.lstat().st_mode
        if stat.S_ISLNK(mode):
            source = inside.find(self.root, source, STEP, "linked from the artifact")
            if source in above:
                raise WorkError(STEP, f"{visible(str(inner))} is a link to a folder that it lies in")
            mode = source.lstat().st_mode
        if stat.S_ISDIR(mode):
            self._folder(source, inner, above)
        elif stat.S_ISREG(mode):
            self._file(source, inner)
        else:
            raise WorkError(STEP, f"{visible(str(inner))} is neither a file nor a folder")

    def _folder(self, source: Path, inner: PurePosixPath, above: tuple[Path, ...]) -> None:
        (self.target / inner).mkdir(mode=0o755, parents=True, exist_ok=True)
        for child in sorted(source.iterdir()):
            if source != self.root or child.name != ".git":
                self.add(child, inner / child.name, (*above, source))

    def _file(self, source: Path, inner: PurePosixPath) -> None:
        if str(inner) == MANIFEST:
            raise WorkError(STEP, f"{MANIFEST} is the name of sando's own file in a release: rename it")
        goal = self.target / inner
        goal.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with os.fdopen(inside.open_file(self.root, source), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise WorkError(STEP, f"{visible(str(inner))} is no regular file any more")
            mode = stat.S_IMODE(before.st_mode) & 0o777 | stat.S_IRUSR
            sha256 = self._pour(file.fileno(), goal, mode)
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise WorkError(
                STEP, f"{visible(str(inner))} changed while it was copied: something still writes to it"
            )
        self.files.append(FileEntry(str(inner), before.st_size, mode, sha256))

    def _pour(self, source: int, goal: Path, mode: int) -> str:
        digest = hashlib.sha256()
        fd = os.open(goal, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb", buffering=0) as file:
            while data := os.read(source, _CHUNK):
                self.cancel.check()
                digest.update(data)
                file.write(data)
            os.fchmod(fd, mode)
            learn(os.fstat(fd), digest.hexdigest())
        return digest.hexdigest()


def _must_be_utf8(inner: PurePosixPath) -> None:
    try:
        str(inner).encode()
    except UnicodeEncodeError:
        raise WorkError(
            STEP, f"the name {visible(str(inner))} is not UTF-8: rename it in the build"
        ) from None


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
