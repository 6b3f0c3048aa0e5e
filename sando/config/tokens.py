"""The `[[token]]` tables of daemon.toml: added to and taken from its text, every other byte as it was.

A table at the end of a file, and lines cut out of it, need no TOML writer; what comes of it is parsed and compared
before it replaces the file.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array

from sando.config.lines import locate
from sando.model.errors import ConfigError
from sando.model.topology import TokenSpec

KEY = "token"


def lines_of(token: TokenSpec) -> str:
    """What stands in daemon.toml for it. The name is a token's name, so nothing in it needs quoting."""
    return f'[[token]]\nname = "{token.name}"\nscope = "{token.scope}"\nsha256 = "{token.sha256}"\n'


def add(path: str | Path, token: TokenSpec, *, replace: bool = False) -> None:
    """Puts the token at the end of the file, with `replace` in place of the one of that name. Raises ConfigError."""

    def change(text: str) -> str:
        if replace and _place(text, token.name) is not None:
            text = _without(str(path), text, token.name)
        return _with(str(path), text, token)

    _rewrite(path, change)


def remove(path: str | Path, name: str) -> None:
    """Takes the token of that name out of the file. Raises ConfigError."""
    _rewrite(path, lambda text: _without(str(path), text, name))


def _with(file: str, text: str, token: TokenSpec) -> str:
    if _place(text, token.name) is not None:
        raise _problem(file, f"a token {token.name} is there already; --replace gives it a new secret")
    if isinstance(tomlkit.parse(text).get(KEY), Array):
        raise _problem(
            file, f"its tokens are an inline list; write each as a [[token]] table, or add\n{lines_of(token)}"
        )
    end = "\r\n" if "\r\n" in text else "\n"
    start = "" if not text or text.endswith("\n") else end
    blank = end if text.strip() else ""
    after = text + start + blank + lines_of(token).replace("\n", end)
    wanted: dict[str, object] = {"name": token.name, "scope": token.scope, "sha256": token.sha256}
    return _checked(file, after, _values(text), lambda tokens: [*tokens, wanted])


def _without(file: str, text: str, name: str) -> str:
    place = _place(text, name)
    if place is None:
        known = ", ".join(str(token.get("name")) for token in _tokens(text)) or "none"
        raise _problem(file, f"there is no token {name}; there are: {known}")
    lines = text.splitlines(keepends=True)
    own = [line for path, line in locate(text).items() if path[:2] == (KEY, place)]
    first, last = min(own) - 1, max(own)
    if first > 0 and not lines[first - 1].strip():
        first -= 1
    after = "".join(lines[:first] + lines[last:])
    return _checked(file, after, _values(text), lambda t: [*t[:place], *t[place + 1 :]])


def _checked(
    file: str,
    after: str,
    before: dict[str, object],
    change: Callable[[list[dict[str, object]]], list[dict[str, object]]],
) -> str:
    """The new text, if it says the same as the old one but for this change."""
    tokens = change(list(before.get(KEY, [])))  # type: ignore[call-overload]
    wanted = {key: value for key, value in before.items() if key != KEY} | ({KEY: tokens} if tokens else {})
    try:
        same = _values(after) == wanted
    except TOMLKitError:
        same = False
    if not same:
        raise _problem(file, "it is written in a way that sandod cannot change safely; edit it by hand")
    return after


def _values(text: str) -> dict[str, object]:
    values: dict[str, object] = tomlkit.parse(text).unwrap()
    return values


def _tokens(text: str) -> list[dict[str, object]]:
    found = _values(text).get(KEY, [])
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []


def _place(text: str, name: str) -> int | None:
    return next((i for i, token in enumerate(_tokens(text)) if token.get("name") == name), None)


# -- the file --------------------------------------------------------------------------------------------------


def _rewrite(path: str | Path, change: Callable[[str], str]) -> None:
    """The file as `change` makes it: at once or not at all, with its mode and owner; a link to it stays one."""
    try:
        real = Path(path).resolve(strict=True)
        with _alone(real) as raw:
            text = raw.decode("utf-8-sig")
            after = change(text).encode()
            bom = raw[: len(raw) - len(text.encode())]
            _replace(real, bom + after)
    except UnicodeDecodeError:
        raise _problem(str(path), "is not UTF-8 text; save it as UTF-8") from None
    except TOMLKitError as error:
        raise _problem(
            str(path), f"no valid TOML: {type(error).__name__}; `sandod --check` says where"
        ) from None
    except OSError as error:
        hint = "run this as the file's owner, or use --print and add the lines yourself"
        raise _problem(str(path), f"cannot be changed ({error.strerror}); {hint}") from error


@contextmanager
def _alone(path: Path) -> Iterator[bytes]:
    """The file's bytes, while nobody else changes it in this way: who waited for the lock looks at the new file."""
    while True:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file.read()
                return


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.sando-new")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            _be_like(path, fd)
            os.fsync(fd)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _be_like(path: Path, fd: int) -> None:
    """Owner, mode, and what else the file system keeps of a file."""
    old, new = path.stat(), os.fstat(fd)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode))
    with suppress(OSError):
        for name in os.listxattr(path):
            os.setxattr(fd, name, os.getxattr(path, name))


def _problem(file: str, text: str) -> ConfigError:
    return ConfigError((f"{file}: {text}",))
