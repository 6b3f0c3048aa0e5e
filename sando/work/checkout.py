"""The one checkout that builds run in: exactly a commit plus what git ignores. Nothing that was pushed is run."""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from os import O_CREAT, O_EXCL, O_WRONLY, fdopen, fsencode
from os import open as os_open
from pathlib import Path

from sando.model import names
from sando.model.errors import WorkError
from sando.work import commands
from sando.work.cancel import CancelToken
from sando.work.git_child import git, must
from sando.work.log import OpLog
from sando.work.tree import has_foreign, open_up, put_aside, remove_tree

STEP = "checkout"
_DONE = "sando-done"
_TIDY = "sando-tidy"
"""In the git folder: nothing has run in the checkout since it was cleaned."""


def checkout(
    bare: str, branch: str, sha: str, folder: str, cancel: CancelToken, log: OpLog, env: Mapping[str, str]
) -> None:
    """Make `folder` exactly `sha`: tracked files, nothing beside them but what is ignored (`target/`), submodules.

    A file that is the same in both commits keeps its time of change, so that builds are incremental. The
    repository knows the folder as a linked worktree: its objects need no fetch, tags and log are there for the
    build, and gc keeps the commit. git is told where its files are, never by the `.git` in the folder, which a
    build may have changed. Raises Cancelled, WorkError (errored).
    """
    log.say(f"checkout of {sha[:7]} of {names.visible(branch)}")
    try:
        _fill(bare, sha, folder, cancel, log, env)
    except WorkError:
        if not has_foreign(folder):
            raise
        aside = put_aside(Path(folder))
        log.say(
            f"what another user owns in {folder} cannot be cleared away: it is in {aside} now, to be removed by root; "
            "let the build give its files back (chown), or run as sandod's user"
        )
        _fill(bare, sha, folder, cancel, log, env)


def _fill(bare: str, sha: str, folder: str, cancel: CancelToken, log: OpLog, env: Mapping[str, str]) -> None:
    home = _git_dir(bare, folder)
    clean = (home / _TIDY).exists()
    _prepare(bare, home, Path(folder), sha)
    _read_tree(home, folder, sha, cancel, env)
    if not clean or Path(folder, ".gitmodules").is_file():
        _clean(home, folder, cancel, env)
    if Path(folder, ".gitmodules").is_file():
        log.say("checkout of the submodules")
        for argv in commands.submodules(str(home), folder, str(Path(bare).absolute())):
            must(git(argv, cwd=folder, env=env, cancel=cancel), STEP, "check out the submodules")
    _write(home / _DONE, sha)


def tidy(bare: str, folder: str, cancel: CancelToken, env: Mapping[str, str]) -> None:
    """Clean the checkout ahead of time, so that the next build need not wait for it. No build may run in it."""
    home = _git_dir(bare, folder)
    if Path(folder).is_dir() and (home / _DONE).is_file():
        _clean(home, folder, cancel, env)
        (
            home / _DONE
        ).unlink()  # what the build made beside what git ignores is gone: no gate may build on it
        _write(home / _TIDY, "")


def checked_out(bare: str, folder: str) -> str | None:
    """The sha that the last checkout of the folder finished with; None when there is none, or it did not end."""
    try:
        return (_git_dir(bare, folder) / _DONE).read_text("ascii").strip()
    except OSError:
        return None


def describe(bare: str, folder: str, sha: str) -> str:
    """The name that tags give the commit, else its short sha."""
    answer = git(commands.describe(str(_git_dir(bare, folder)), folder, sha))
    return must(answer, "version", f"describe {sha[:7]}").out.decode("utf-8", "replace").strip()


def _git_dir(bare: str, folder: str) -> Path:
    mark = sha256(fsencode(Path(folder).absolute())).hexdigest()[:8]
    return Path(bare).absolute() / "worktrees" / f"sando-{mark}"


def _prepare(bare: str, home: Path, folder: Path, sha: str) -> None:
    """What `git worktree add` would write, without its process; and what a killed git or a build left, put right."""
    link = folder.absolute() / ".git"
    try:
        if folder.is_symlink() or not folder.is_dir():
            remove_tree(folder)
            folder.mkdir(parents=True)
        home.mkdir(parents=True, exist_ok=True)
        for left in (
            _DONE,
            _TIDY,
            "index.lock",
            "HEAD.lock",
        ):  # one checkout at a time: no git of ours runs now
            (home / left).unlink(missing_ok=True)
        if not link.is_symlink() and link.is_dir():
            remove_tree(link)
        for path, text in (
            (home / "commondir", "../.."),
            (home / "gitdir", str(link)),
            (home / "HEAD", sha),
            (link, f"gitdir: {home}"),
        ):
            _write(path, text)
    except OSError as error:
        raise WorkError(STEP, f"cannot prepare {folder} from {bare}: {error}", errored=True) from error


def _write(path: Path, text: str) -> None:
    """Put the text there unless it is there already: a link is replaced, never followed."""
    with suppress(OSError):
        if not path.is_symlink() and path.read_bytes() == fsencode(text + "\n"):
            return
    beside = path.with_name(f"{path.name}.sando-new")
    with suppress(FileNotFoundError):
        beside.unlink()
    with fdopen(os_open(beside, O_WRONLY | O_CREAT | O_EXCL, 0o644), "wb") as file:
        file.write(fsencode(text + "\n"))
    beside.replace(path)


def _read_tree(home: Path, folder: str, sha: str, cancel: CancelToken, env: Mapping[str, str]) -> None:
    argv = commands.read_tree(str(home), folder, sha)
    answer = git(argv, cwd=folder, env=env, cancel=cancel)
    if not answer.ok:
        # An index that a crash or a full disk spoiled, or folders that a build closed: once more, from nothing.
        (home / "index").unlink(missing_ok=True)
        open_up(folder)
        answer = git(argv, cwd=folder, env=env, cancel=cancel)
    must(answer, STEP, f"check out {sha[:7]}")


def _clean(home: Path, folder: str, cancel: CancelToken, env: Mapping[str, str]) -> None:
    argv = commands.clean(str(home), folder)
    answer = git(argv, cwd=folder, env=env, cancel=cancel)
    if not answer.ok or answer.err:  # a folder that cannot be read is only a warning to git
        open_up(folder)
        answer = git(argv, cwd=folder, env=env, cancel=cancel)
    must(answer, STEP, f"clean {folder}")
