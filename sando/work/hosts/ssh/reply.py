"""What a call of a node's shell answered, taken apart. It trusts nothing: a node may say anything."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sando.model.names import visible

_OUTPUT = b"\n@output "
_SAID = 2000  # characters of what was said that are told


@dataclass(frozen=True, slots=True)
class Reply:
    """Its exit status, its `@key value` lines as they came, and everything else that it said, as it may be shown."""

    status: int
    facts: tuple[tuple[str, str], ...]
    said: str
    output: bytes
    """What a command wrote, as it is; the call says `@output` before it."""

    @property
    def ok(self) -> bool:
        return self.status == 0

    def get(self, key: str) -> str | None:
        return next((value for k, value in self.facts if k == key), None)

    def all(self, key: str) -> tuple[str, ...]:
        return tuple(value for k, value in self.facts if k == key)

    def number(self, key: str) -> int | None:
        """None where it said none, or no number."""
        value = self.get(key) or ""
        return int(value) if re.fullmatch("[0-9]{1,18}", value) else None


def parse(status: int, heard: bytes) -> Reply:
    head, _, body = (b"\n" + heard).partition(_OUTPUT)
    facts, rest = [], []
    for text in head.decode("utf-8", "replace").split("\n"):
        if found := re.fullmatch(r"@([a-z]+) (.*)", text):
            facts.append((found[1], found[2]))
        else:
            rest.append(text)
    return Reply(status, tuple(facts), shorten(rest), body.partition(b"\n")[2])


def shorten(lines: Iterable[str]) -> str:
    """Lines of a node as one that can be shown."""
    said = "; ".join(visible(line.strip()) for line in lines if line.strip() and not line.startswith("@"))
    return said if len(said) <= _SAID else f"… {said[-_SAID:]}"
