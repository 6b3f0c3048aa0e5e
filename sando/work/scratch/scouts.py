"""Judges that only look: what does a script need before it can be run? They let everything pass."""

import re

from sando.work.scratch.judge import Fate
from sando.work.scratch.sieve import EXTENSION, NAME, name_of, roles_of


class Extensions:
    """The judge that only looks: which extensions does a script create, and where? It stops at the first table."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        """Name to schema, empty where none is named."""
        self.over = False

    def wants(self, word: bytes) -> bool:
        self.over = self.over or word in {b"copy", b"insert"}
        return word == b"create"

    def comment(self, _text: bytes) -> None:
        """Says nothing of extensions."""

    def command(self, _text: bytes, _line: int) -> None:
        """Is judged by who lets it through."""

    def statement(self, text: bytes, _line: int) -> Fate:
        self.over = self.over or text.split(None, 2)[1:2] == [b"TABLE"]
        if found := EXTENSION.match(text):
            schema = re.search(rb"\sschema\s+(" + NAME + rb")", text, re.IGNORECASE)
            self.found[name_of(found[1])] = name_of(schema[1]) if schema else ""
        return Fate.KEEP


class Roles:
    """Which roles do policies name?"""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def wants(self, word: bytes) -> bool:
        return word == b"create"

    def comment(self, _text: bytes) -> None:
        """Says nothing of roles."""

    def command(self, _text: bytes, _line: int) -> None:
        """Is judged by who lets it through."""

    def statement(self, text: bytes, _line: int) -> Fate:
        self.found.update(roles_of(text))
        return Fate.KEEP
