"""The bare repository that people push to: made, asked, never written to but for its config and HEAD."""

from dataclasses import dataclass
from os import R_OK, W_OK, X_OK, access, fsencode
from pathlib import Path

from sando.model import names
from sando.model.errors import WorkError
from sando.work import commands
from sando.work.checkout import checked_out, checkout, describe, tidy
from sando.work.git_child import git, must
from sando.work.loose import newest

__all__ = [
    "Commit",
    "checked_out",
    "checkout",
    "describe",
    "ensure_bare",
    "log_between",
    "resolve",
    "tidy",
    "tip",
]

_PUSH_OPTIONS = "receive.advertisePushOptions"
_UNKNOWN = ("bad revision", "unknown revision", "bad object")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as git tells of it. `author` and `subject` are raw: whoever shows them makes them harmless."""

    sha: str
    author: str
    subject: str


def ensure_bare(path: str, branch: str) -> None:
    """Create the repository when missing, and let pushers send options; what is there already is kept.

    Raises WorkError (errored), naming the folder and the next step.
    """
    if _missing(path):
        must(git(commands.init_bare(path, branch)), "repo", f"create {path}")
    _must_be_bare(path)
    if git(commands.get_flag(path, _PUSH_OPTIONS)).out.strip() != b"true":
        must(git(commands.set_flag(path, _PUSH_OPTIONS, "true")), "repo", f"configure {path}")
    if _unborn_elsewhere(path, branch):
        must(git(commands.point_head(path, branch)), "repo", f"point HEAD of {path} at {branch}")


def tip(bare: str, branch: str) -> Commit | None:
    """The newest commit of the branch, None while there is no such branch. No git process after a fresh push."""
    if fresh := newest(bare, branch):
        return Commit(*fresh)
    ref = f"refs/heads/{branch}"
    answer = must(git(commands.read_ref(bare, ref)), "repo", f"read {branch} of {bare}")
    for line in answer.out.split(b"\n"):
        name, _, rest = line.partition(b"\0")
        if name == fsencode(ref):
            return _commit(rest)
    return None


def resolve(bare: str, text: str) -> Commit | None:
    """The commit that a full or short sha names, tags followed; None when there is none, or more than one.

    A branch or tag whose name looks like a sha is never taken for one.
    """
    if not names.SHORT_SHA.fullmatch(text):
        return None
    found = [_show(bare, sha) for sha in _candidates(bare, text)]
    commits = {commit.sha: commit for commit in found if commit}
    exact = [commit for sha, commit in commits.items() if sha.startswith(text)] or list(commits.values())
    return exact[0] if len(exact) == 1 else None


def log_between(bare: str, old: str, new: str, limit: int = 200) -> tuple[Commit, ...] | None:
    """The commits of `new` that `old` has not, newest first; with an empty `old`, all of them.

    None when git does not know one of the two (any more).
    """
    if not names.is_sha(new) or not (old == "" or names.is_sha(old)):
        return None
    answer = git(commands.log_between(bare, old, new, limit))
    return tuple(_commit(line) for line in answer.out.split(b"\n") if line) if answer.ok else None


def _missing(path: str) -> bool:
    folder = Path(path)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise WorkError("repo", f"cannot use {path}: {error.strerror}", errored=True) from error


def _must_be_bare(path: str) -> None:
    if Path(path).is_dir() and not access(path, R_OK | W_OK | X_OK):
        raise WorkError("repo", f"cannot write to {path}: chown -R it to the user of sandod", errored=True)
    answer = git(commands.is_bare(path))
    if not answer.ok or answer.out.strip() != b"true":
        next_step = "move it away, or let [repo] bare_path name another folder"
        raise WorkError(
            "repo", f"{path} is no bare git repository: {next_step}", errored=True, tail=answer.err
        )


def _unborn_elsewhere(path: str, branch: str) -> bool:
    """Whether HEAD names another branch that is not there: a clone would stand on nothing."""
    head = Path(path, "HEAD").read_bytes().strip().removeprefix(b"ref: ").decode("utf-8", "surrogateescape")
    if not head.startswith("refs/") or head == f"refs/heads/{branch}":
        return False
    return git(commands.read_ref(path, head)).out == b""


def _candidates(bare: str, text: str) -> list[str]:
    if names.is_sha(text):
        return [text]
    answer = must(git(commands.with_prefix(bare, text)), "repo", f"look up {text} in {bare}")
    return answer.out.decode("ascii").split()[:16]


def _show(bare: str, sha: str) -> Commit | None:
    answer = git(commands.show_commit(bare, sha))
    if answer.ok:
        return _commit(answer.out.rstrip(b"\n"))
    if not any(known in answer.err for known in _UNKNOWN):
        must(answer, "repo", f"look up {sha[:7]} in {bare}")
    return None


def _commit(row: bytes) -> Commit:
    sha, author, subject = row.decode("utf-8", "replace").split("\0", 2)
    return Commit(sha, author, subject)
