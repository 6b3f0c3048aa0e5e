"""A config file while it is read: its text, its values and what is wrong with them. It knows no key's meaning."""

import os
import stat
from pathlib import Path

import tomlkit
from tomlkit.exceptions import KeyAlreadyPresent, ParseError, TOMLKitError

from sando.config.lines import Path as KeyPath
from sando.config.lines import first_repeat, line_of, locate
from sando.model.errors import ConfigError
from sando.model.names import visible

MAX_BYTES = 1024 * 1024
MAX_PROBLEMS = 100
MAX_LABEL = 64  # of a key or name, in a problem's line


class Document:
    """One TOML file; readers add problems under the path of a key, `problems` gives them in file order."""

    def __init__(self, file: str, text: str, data: dict[str, object]) -> None:
        self.file = file
        self.data = data
        self._text = text
        self._found: list[tuple[KeyPath, str]] = []

    def add(self, path: KeyPath, text: str) -> None:
        self._found.append((path, text))

    def problems(self) -> tuple[str, ...]:
        """One line each; the text is scanned for line numbers only when there is something to say."""
        if not self._found:
            return ()
        lines = locate(self._text)
        placed = [(line_of(lines, path), path, text) for path, text in self._found]
        placed.sort(key=lambda problem: problem[0])
        told = [
            problem(self.file, line, self.label(path), text) for line, path, text in placed[:MAX_PROBLEMS]
        ]
        more = len(placed) - MAX_PROBLEMS
        return (
            (*told, f"{one_line(self.file)}: and {more} more; fix these first") if more > 0 else tuple(told)
        )

    def check(self) -> None:
        found = self.problems()
        if found:
            raise ConfigError(found)

    def label(self, path: KeyPath) -> str:
        """The path as a person says it: `tier.b.node.prod-1.ssh_target`, with an index where there is no name."""
        here: object = self.data
        label = ""
        for part in path:
            here = _child(here, part)
            called = _called(here) if isinstance(part, int) else part[:MAX_LABEL] or '""'
            label += f"[{part}]" if called is None else f".{called}"
        return label.removeprefix(".") or "file"


def problem(file: str, line: int, key: str, text: str) -> str:
    return one_line(f"{file}:{line}: {key}: {text}")


def one_line(text: str) -> str:
    """Nothing of a file's content may break the line or the terminal."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _child(here: object, part: str | int) -> object:
    if isinstance(here, list) and isinstance(part, int):
        return here[part] if part < len(here) else None
    return here.get(part) if isinstance(here, dict) else None


def _called(item: object) -> str | None:
    if not isinstance(item, dict):
        return None
    name = item.get("name", item.get("kind"))
    return name if isinstance(name, str) and 0 < len(name) <= MAX_LABEL else None


def open_document(path: str | Path) -> Document:
    """Read and parse a file, or raise a ConfigError that says where it is no TOML."""
    file = str(path)
    text = _decode(file, _read(file))
    return Document(file, text, _parse(file, text))


def _read(file: str) -> bytes:
    try:
        with open(file, "rb", opener=_without_waiting) as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise _broken(file, 1, "is no regular file; name the TOML file itself")
            content = source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _broken(file, 1, "does not exist; create it, or correct the path that names it") from None
    except PermissionError:
        raise _broken(file, 1, _closed(file)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _broken(file, 1, f"cannot be read ({reason}); check its path and permissions") from None
    if len(content) > MAX_BYTES:
        raise _broken(file, 1, "is larger than 1 MiB; is it the right file?")
    return content


def _closed(file: str) -> str:
    """Whose it is and with what mode, as far as that may be looked at."""
    try:
        found = Path(file).stat()
    except OSError:
        return "cannot be read (Permission denied); a folder above it is closed: chmod +x it"
    whose = f"it belongs to uid {found.st_uid} and has mode {stat.S_IMODE(found.st_mode):03o}"
    need = f"uid {os.geteuid()} must be able to read it (mode 640 and its group, or chown it)"
    return f"cannot be read (Permission denied): {whose}; {need}"


def _without_waiting(file: str, flags: int) -> int:
    """A FIFO in the file's place must not hang the start; it is refused once it is open."""
    return os.open(file, flags | os.O_NONBLOCK)


def _decode(file: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _broken(file, line, "is not UTF-8 text; save it as UTF-8") from None


def _parse(file: str, text: str) -> dict[str, object]:
    try:
        data: dict[str, object] = tomlkit.parse(text).unwrap()
    except ParseError as error:
        reason = str(error).removesuffix(f" at line {error.line} col {error.col}").rstrip(".")
        said = f"no valid TOML at column {error.col + 1}: {reason}; correct this line"
        raise ConfigError((problem(file, error.line, "syntax", said),)) from None
    except KeyAlreadyPresent as error:  # it knows no line
        said = f"no valid TOML: {str(error).rstrip('.')}; remove one of them"
        raise ConfigError((problem(file, first_repeat(text), "syntax", said),)) from None
    except RecursionError:
        raise _broken(file, 1, "is nested too deeply; sando's files need four levels") from None
    except (TOMLKitError, ValueError, TypeError, LookupError, AttributeError) as error:
        # The parser's own slips on hostile input: still a line for the operator, never a traceback.
        raise _broken(
            file, 1, f"no valid TOML ({type(error).__name__}: {str(error)[:200]}); correct it"
        ) from None
    return data


def _broken(file: str, line: int, text: str) -> ConfigError:
    return ConfigError((problem(file, line, "file", text),))
