"""Runs commands of the bench in sessions of their own and ends all of one when it fails, is late or is interrupted.

It never leaves a process behind that it started, and knows nothing of nodes or deploys.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

LONGEST_S = 600.0
_TAIL = 800  # characters of output that a failure tells


class WayFailed(Exception):
    """A way could not do what was asked of it; the text says why, in one paragraph."""


class NotInstalled(WayFailed):
    """The program behind a way is not on this machine and could not be had."""


def run(argv: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run to the end and answer the output, both streams. WayFailed when it does not end with 0."""
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=clean_env() | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LONGEST_S)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise WayFailed(f"{argv[0]} took longer than {LONGEST_S:g} s") from error
        raise
    text = output.decode("utf-8", "replace")
    if process.returncode:
        raise WayFailed(f"{Path(argv[0]).name} ended with {process.returncode}: {text.strip()[-_TAIL:]}")
    return text


def at_once(scripts: Iterable[str]) -> None:
    """Run shell scripts side by side, each in a subshell of one `sh`; WayFailed when one of them fails."""
    lines = ["pids="]
    lines += [f'( {script} ) & pids="$pids $!"' for script in scripts]
    lines.append("failed=0; for pid in $pids; do wait $pid || failed=1; done; exit $failed")
    run(["sh", "-c", "\n".join(lines)])


def clean_env() -> dict[str, str]:
    """This process's environment without what would lead an ssh or a git elsewhere."""
    strange = ("GIT_", "SSH_", "ANSIBLE_", "SANDO_", "PYINFRA_", "RSYNC_")
    return {k: v for k, v in os.environ.items() if not k.startswith(strange)} | {"LC_ALL": "C.UTF-8"}


def end(process: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """SIGTERM, then SIGKILL; it is reaped when this returns."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


quote = shlex.quote
