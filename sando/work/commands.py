"""The argv of every git child, as pure functions: nothing is run here.

Whatever came from outside stands behind `--end-of-options`, `--` or inside one `--option=value` word.
"""

from collections.abc import Mapping

SAFE = (
    "git",
    "-c", "core.hooksPath=/dev/null",  # hooks of a template or a submodule would run what was pushed
    "-c", "core.fsmonitor=false",  # names a program
    "-c", "safe.directory=*",  # the daemon was told which repository to use
    "-c", "gc.auto=0",  # never in the way of a build; a push collects on its own
    "-c", "advice.detachedHead=false",
)  # fmt: skip

COMMIT_FORMAT = "%H%x00%an%x00%s"
REF_FORMAT = "%(refname)%00%(objectname)%00%(authorname)%00%(contents:subject)"

QUIET = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace/* are pushed by anybody who may push: a sha is what it says
    "LC_ALL": "C",
}


def git_env(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of every git child: none of the caller's `GIT_*`, no config but the repository's own."""
    return {key: value for key, value in base.items() if not key.startswith("GIT_")} | QUIET


def init_bare(path: str, branch: str) -> list[str]:
    return [*SAFE, "init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", "--", path]


def is_bare(bare: str) -> list[str]:
    return [*_in(bare), "rev-parse", "--is-bare-repository"]


def get_flag(bare: str, key: str) -> list[str]:
    return [*_in(bare), "config", "--type=bool", "--get", key]


def set_flag(bare: str, key: str, value: str) -> list[str]:
    return [*_in(bare), "config", key, value]


def point_head(bare: str, branch: str) -> list[str]:
    return [*_in(bare), "symbolic-ref", "HEAD", f"refs/heads/{branch}"]


def read_ref(bare: str, ref: str) -> list[str]:
    """One process that answers with nothing, and success, for a ref that does not exist."""
    return [*_in(bare), "for-each-ref", f"--format={REF_FORMAT}", "--", ref]


def with_prefix(bare: str, prefix: str) -> list[str]:
    """All objects whose id begins with `prefix`; unlike every other look-up, a ref of that name is not asked."""
    return [*_in(bare), "rev-parse", f"--disambiguate={prefix}"]


def show_commit(bare: str, sha: str) -> list[str]:
    return [*_log(bare), "--max-count=1", "--end-of-options", f"{sha}^{{commit}}", "--"]


def log_between(bare: str, old: str, new: str, limit: int) -> list[str]:
    return [*_log(bare), f"--max-count={limit}", "--end-of-options", f"{old}..{new}" if old else new, "--"]


def read_tree(git_dir: str, folder: str, sha: str) -> list[str]:
    """Make index and tracked files exactly `sha`; what is the same already keeps its time of change."""
    return [*_in(git_dir, folder), "read-tree", "-u", "--reset", "--no-recurse-submodules", sha]


def clean(git_dir: str, folder: str) -> list[str]:
    """Remove what is neither tracked nor ignored, also repositories that a build left behind."""
    return [*_in(git_dir, folder), "clean", "-ffdq"]


def describe(git_dir: str, folder: str, sha: str) -> list[str]:
    # `describe` takes no --end-of-options; the sha comes from git.
    return [*_in(git_dir, folder), "describe", "--tags", "--always", sha]


def submodules(git_dir: str, folder: str, origin: str) -> list[list[str]]:
    """Fetch and check out the submodules; relative URLs stand beside `origin`. protocol.*.allow stays git's own."""
    git = [*_in(git_dir, folder), "-c", f"remote.origin.url={origin}", "submodule", "--quiet"]
    return [
        [*git, "sync", "--recursive"],
        [*git, "update", "--init", "--recursive", "--force"],
        [*git, "foreach", "--recursive", "git clean -ffdq"],
    ]


def _in(git_dir: str, folder: str | None = None) -> list[str]:
    return [*SAFE, f"--git-dir={git_dir}", *([f"--work-tree={folder}"] if folder else [])]


def _log(bare: str) -> list[str]:
    return [
        *_in(bare),
        "log",
        "--no-show-signature",
        "--no-mailmap",
        "--no-color",
        f"--format={COMMIT_FORMAT}",
    ]
