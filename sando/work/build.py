"""One build from commit to release folder: check out, run the command, name it, stage it. Gates are not run here."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sando.failpoints import reached
from sando.model import names
from sando.model.errors import WorkError
from sando.model.release import FileEntry, Manifest, Release, name_release
from sando.model.topology import BuildSpec, Command
from sando.work import inside, stage
from sando.work.cancel import CancelToken
from sando.work.declared import declared_version, must_be_name
from sando.work.digest import digest_of
from sando.work.environment import called
from sando.work.git import Commit, checkout, describe
from sando.work.log import OpLog, said_since
from sando.work.now import read_clock
from sando.work.process import Keepers, clean_env, command_argv
from sando.work.tree import move_tree, remove_tree

STEP = "build"
STAGING = ".staging"
_DECLARED_BEFORE = {"Cargo.toml", "pyproject.toml", "package.json"}


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where builds are made, and how: the config that a build began with. Folders are absolute."""

    bare: str
    branch: str
    workdir: str
    release_root: str
    spec: BuildSpec
    keepers: Keepers

    @property
    def checkout(self) -> str:
        return f"{self.workdir}/checkout"

    @property
    def logs(self) -> str:
        return f"{self.workdir}/logs"


@dataclass(frozen=True, slots=True)
class Order:
    """What to build. `taken` maps every version that belongs to a sha for good to that sha."""

    operation: int
    commit: Commit
    pushed_at: datetime
    taken: Mapping[str, str]
    builder: str = "sandod"


def build(shop: Workshop, order: Order, log: OpLog, cancel: CancelToken) -> Release:
    """Make the release of a commit; nothing is left of it when this raises Cancelled or WorkError.

    Its folder replaces one of the same version, which was no good: the caller vouches for that with `order.taken`.
    """
    sha = order.commit.sha
    log.say(names.visible(f"build {order.operation} of {sha[:7]}: {order.commit.subject}"[:200]))
    checkout(shop.bare, shop.branch, sha, shop.checkout, cancel, log, clean_env())
    reached("build.checked_out")
    if Path(shop.spec.version_from).name in _DECLARED_BEFORE:
        _declared(shop, sha)  # what the commit already says wrong needs no half hour of building
    run_in_checkout(shop, shop.spec.command, sha, log, cancel)
    reached("build.ran")
    declared = _declared(shop, sha)
    version = must_be_name(name_release(declared, sha, dict(order.taken)), f"{declared} at {sha[:7]}")
    log.say(f"stage {version}")
    return _stage(shop, order, declared, version, cancel)


def run_in_checkout(shop: Workshop, command: Command, sha: str, log: OpLog, cancel: CancelToken) -> None:
    """Run the build command in `dir` of the checkout. WorkError with the last 50 lines when it fails."""
    cwd = build_folder(shop)
    argv = (*shop.spec.runner, *command_argv(command))
    start = log.size()
    ended = shop.keepers.run(
        argv,
        cwd=cwd,
        env=build_env(shop, sha),
        log=log,
        cancel=cancel,
        step=STEP,
        name=called(command),
        timeout=shop.spec.timeout_s,
        idle_timeout=shop.spec.idle_timeout_s,
    )
    if not ended.ok:
        why, said = ended.of(called(command)), said_since(log.path, start)
        raise WorkError(STEP, why, errored=bool(ended.full), tail=said)


def build_folder(shop: Workshop) -> str:
    """`[build] dir` in the checkout; WorkError when the commit has no such folder."""
    folder = inside.find(Path(shop.checkout), shop.spec.dir, STEP, "[build] dir")
    if not folder.is_dir():
        raise WorkError(STEP, f"{names.visible(shop.spec.dir)} ([build] dir) is no folder")
    return str(folder)


def build_env(shop: Workshop, sha: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of the build and of the build tier's gates."""
    return clean_env({"CI": "true", **shop.spec.env, **(more or {}), "SANDO_SHA": sha})


def discard(shop: Workshop, version: str) -> None:
    """Remove the folder of a release that is no good, never through a link; one that is gone already is fine."""
    if not names.is_version(version):
        raise WorkError("discard", f"{names.visible(version)!r} is no version", errored=True)
    folder = Path(shop.release_root, version)
    aside = Path(shop.release_root, STAGING, f"{version}.discarded")
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        remove_tree(aside)
        with suppress(FileNotFoundError):
            move_tree(folder, aside)  # half a release never stands under its name
        remove_tree(aside)
    except OSError as error:
        raise WorkError("discard", f"cannot remove {folder}: {error.strerror}", errored=True) from error


def sweep(shop: Workshop) -> tuple[str, ...]:
    """Remove what a dead daemon had half staged; only at start, while nothing builds. Answers the names."""
    staging = Path(shop.release_root, STAGING)
    left = sorted(path.name for path in staging.iterdir()) if staging.is_dir() else []
    try:
        for name in left:
            remove_tree(staging / name)
    except OSError as error:
        raise WorkError("sweep", f"cannot remove {error.filename}: {error.strerror}", errored=True) from error
    return tuple(left)


def _declared(shop: Workshop, sha: str) -> str:
    return declared_version(
        Path(shop.checkout),
        shop.spec.dir,
        shop.spec.version_from,
        lambda: describe(shop.bare, shop.checkout, sha),
    )


def _stage(shop: Workshop, order: Order, declared: str, version: str, cancel: CancelToken) -> Release:
    staged = Path(shop.release_root, STAGING, str(order.operation))
    try:
        remove_tree(staged)
        staged.mkdir(parents=True)
        files = stage.collect(Path(shop.checkout), shop.spec, staged, cancel)
        reached("build.staged")
        manifest = _manifest(shop, order, version, files)
        stage.seal(staged, manifest)
        reached("build.sealed")
        cancel.check()
        _place(staged, Path(shop.release_root, version))
    except OSError as error:
        raise WorkError("stage", f"cannot stage {version}: {error}", errored=True) from error
    finally:
        with suppress(OSError):
            remove_tree(staged)
    return _release(order, declared, manifest)


def _place(staged: Path, release: Path) -> None:
    """One that has its name, and is not surely on the disk, belongs to nobody: it goes again."""
    try:
        stage.place(staged, release)
        reached("build.placed")
    except OSError:
        with suppress(OSError):
            remove_tree(release)
        raise


def _manifest(shop: Workshop, order: Order, version: str, files: tuple[FileEntry, ...]) -> Manifest:
    return Manifest(
        version=version,
        sha=order.commit.sha,
        branch=shop.branch,
        author=order.commit.author,
        subject=order.commit.subject,
        built_at=read_clock().at,
        builder=order.builder,
        files=files,
        run=shop.spec.start_command(),
    )


def _release(order: Order, declared: str, manifest: Manifest) -> Release:
    return Release(
        version=manifest.version,
        declared=declared,
        sha=manifest.sha,
        digest=digest_of(manifest.files),
        operation=order.operation,
        built_at=manifest.built_at,
        pushed_at=order.pushed_at,
        author=manifest.author,
        subject=manifest.subject,
        branch=manifest.branch,
        bytes=manifest.bytes,
    )
