"""Judges that only look: what does a script need before it can be run? They let everything pass."""

import re

from sando.work.scratch.judge import Fate
from sando.work.scratch.sieve import EXTENSION, NAME, is_of_all_tables, name_of, roles_of


class _Scout:
    """Looks at each CREATE; what else stands there is judged by who lets it through."""

    def wants(self, word: bytes) -> bool:
        return word == b"create"

    def comment(self, _text: bytes) -> None:
        """Says nothing of what is needed."""

    def command(self, _text: bytes, _line: int) -> None:
        """Is refused where it would be run."""

    def statement(self, text: bytes, _line: int) -> Fate:
        self.look(text)
        return Fate.KEEP

    def look(self, text: bytes) -> None:
        raise NotImplementedError


class Extensions(_Scout):
    """Which extensions does it create, and where? `over` once the first table comes: none follows in a dump."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        """Name to schema, empty where none is named."""
        self.over = False

    def wants(self, word: bytes) -> bool:
        self.over = self.over or word in {b"copy", b"insert"}
        return super().wants(word)

    def look(self, text: bytes) -> None:
        self.over = self.over or text.split(None, 2)[1:2] == [b"TABLE"]
        if found := EXTENSION.match(text):
            schema = re.search(rb"\sschema\s+(" + NAME + rb")", text, re.IGNORECASE)
            self.found[name_of(found[1])] = name_of(schema[1]) if schema else ""


class Roles(_Scout):
    """Which roles do policies name?"""

    def __init__(self) -> None:
        self.found: list[str] = []

    def look(self, text: bytes) -> None:
        self.found += roles_of(text)


class Publications(_Scout):
    """Which publications are of all tables?"""

    def __init__(self) -> None:
        self.found: list[str] = []

    def look(self, text: bytes) -> None:
        if is_of_all_tables(text) and (name := re.search(NAME, text[len(b"create publication") :])):
            self.found.append(name_of(name[0]))
