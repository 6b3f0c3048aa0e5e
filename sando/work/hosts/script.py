"""node.sh, what sando does on a node as POSIX shell, and how a call of it is written. It runs nothing."""

import re
from importlib.resources import files

NODE_SH = files("sando.work.hosts").joinpath("node.sh").read_text("utf-8")


def words(*parts: object) -> str:
    """A call: every part quoted for sh, so that nothing can become a word, an option or a command of its own."""
    return " ".join(quoted(str(part)) for part in parts)


def quoted(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"{text!r} has a NUL, which no command line can hold")
    return text if re.fullmatch(r"[A-Za-z0-9_]+", text) else "'" + text.replace("'", "'\\''") + "'"
