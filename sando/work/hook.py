"""Puts the `post-receive` hook into the bare repository; it never overwrites one that somebody else wrote."""

import os
import shlex
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from sando.model.errors import WorkError

MARK = "# sando-hook sha256="
TOKEN = "sando/hook-token"  # noqa: S105 -- the name of a file
_FOREIGN = "post-receive.local"


def install(bare: str, *, url: str, branch: str, token: str | None = None) -> str:
    """Make pushes to `branch` tell `POST {url}/rebuild`; answers "installed", or "kept" when nothing changed.

    A foreign hook goes on as `post-receive.local` beside ours, which runs it first. Our own file that somebody
    edited is kept, edits and all; removing it brings a fresh one back. `token` None leaves the token file as it is.
    Raises WorkError (errored).
    """
    hooks = Path(bare, "hooks")
    hook = hooks / "post-receive"
    text = render(url, branch)
    try:
        hooks.mkdir(exist_ok=True)
        if token is not None and read_token(bare) != token:
            _write_token(Path(bare, TOKEN), token)
        if _is_edited(hook) or _is(hook, text):
            return "kept"
        _step_aside(hook)
        _replace(hook, text, 0o755)
    except OSError as error:
        raise WorkError("hook", f"cannot install {hook}: {error.strerror}", errored=True) from error
    return "installed"


def render(url: str, branch: str) -> str:
    """The hook's text; its second line carries the sha256 of all that follows, so that an edit shows."""
    template = files("sando.work").joinpath("post-receive.sh").read_text("utf-8")
    body = template.replace("@URL@", shlex.quote(url.rstrip("/"))).replace("@BRANCH@", shlex.quote(branch))
    return f"#!/bin/sh\n{MARK}{_digest(body)}\n{body}"


def read_token(bare: str) -> str | None:
    """The token that the hook shows to the daemon; None when it has none."""
    try:
        return Path(bare, TOKEN).read_text("ascii").strip() or None
    except OSError:
        return None


def _digest(body: str) -> str:
    return sha256(os.fsencode(body)).hexdigest()


def _text(hook: Path) -> str | None:
    """The hook as it stands; None when there is none, or what is there is no file of ours (a link, a program)."""
    if hook.is_symlink() or not hook.is_file():
        return None
    return os.fsdecode(hook.read_bytes())


def _is(hook: Path, text: str) -> bool:
    return _text(hook) == text and os.access(hook, os.X_OK)


def _is_edited(hook: Path) -> bool:
    """Whether it is our hook with somebody's changes: it has the mark, and the mark does not fit."""
    mark, _, body = (_text(hook) or "").partition("\n")[2].partition("\n")
    return mark.startswith(MARK) and mark != MARK + _digest(body)


def _is_ours(hook: Path) -> bool:
    return (_text(hook) or "").partition("\n")[2].startswith(MARK)


def _step_aside(hook: Path) -> None:
    """Give a foreign hook its second name before ours takes the first: at no time is it gone."""
    if not (hook.is_symlink() or hook.exists()) or _is_ours(hook):
        return
    for number in ("", *map(str, range(2, 10))):
        aside = hook.with_name(_FOREIGN + number)
        if not (aside.is_symlink() or aside.exists()):
            os.link(hook, aside, follow_symlinks=False)
            return
        if os.path.samestat(aside.lstat(), hook.lstat()):  # a crash came between the two steps
            return
    raise WorkError("hook", f"{hook} is not sando's and {_FOREIGN}..9 are taken: remove some", errored=True)


def _write_token(path: Path, token: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    _replace(path, token + "\n", 0o600)


def _replace(path: Path, text: str, mode: int) -> None:
    beside = path.with_name(f".{path.name}.sando-new")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(os.fsencode(text))
        os.fchmod(fd, mode)
        file.flush()
        os.fsync(fd)
    beside.replace(path)
