"""A real bare repository with a real clone to push from, for the tests of git, hook and build."""

import os
import subprocess
from pathlib import Path

PERSON = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Max",
    "GIT_AUTHOR_EMAIL": "max@example.org",
    "GIT_COMMITTER_NAME": "Max",
    "GIT_COMMITTER_EMAIL": "max@example.org",
}


def git(*words: str | bytes, cwd: Path, env: dict[str, str] | None = None, ok: bool = True) -> str:
    """Run git as the person who pushes; answers with both outputs."""
    done = subprocess.run(
        ["git", *words],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | PERSON | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    assert not ok or done.returncode == 0, text
    return text


class Clone:
    """Where a person works: `write`, `commit`, `push`."""

    def __init__(self, folder: Path, bare: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        git("init", "-q", "-b", "main", cwd=folder)
        git("remote", "add", "origin", str(bare), cwd=folder)

    def git(self, *words: str | bytes, **more: object) -> str:
        return git(*words, cwd=self.folder, **more)

    def write(self, **texts: str) -> None:
        """Keyword names are paths with `__` for `/`; see `put` for any other path."""
        for name, text in texts.items():
            self.put(name.replace("__", "/"), text)

    def put(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, subject: str = "work") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD").strip()

    def push(self, *refs: str, env: dict[str, str] | None = None) -> str:
        return self.git("push", "origin", *(refs or ("main",)), env=env)
