"""What a call of a node's shell answered, taken apart. It trusts nothing: a node may say anything."""

import re
from dataclasses import dataclass

from sando.model.names import visible

_OUTPUT = b"\n@output "
_FACT = re.compile(rb"^@([a-z]+) (.*)$", re.MULTILINE)
_SAID = 2000  # characters of what was said that are told
_LOOKED_AT = 4 * _SAID


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
    facts = tuple((found[1].decode(), _text(found[2])) for found in _FACT.finditer(head))
    return Reply(status, facts, shorten(head), body.partition(b"\n")[2])


def shorten(heard: bytes) -> str:
    """What a node said last, besides facts, as one line that can be shown; of much no more is looked at."""
    end = _text(heard[-_LOOKED_AT:])
    if len(heard) > _LOOKED_AT:
        end = end.partition("\n")[2] or end
    lines = (line.strip() for line in end.splitlines() if not line.startswith("@"))
    said = "; ".join(visible(line) for line in lines if line)
    return said if len(said) <= _SAID else f"… {said[-_SAID:]}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
