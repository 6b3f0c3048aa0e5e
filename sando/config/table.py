"""A typed walk over one TOML table: it takes keys, reports what does not fit, and goes on, so that all is told at once."""

from collections.abc import Callable
from typing import TypeVar

from sando.config.document import Document
from sando.config.lines import Path
from sando.config.values import Bad, kind_of, shown
from sando.model.names import nearest

T = TypeVar("T")


class Table:
    """The keys of one table. A value that cannot be used is reported and replaced by the default."""

    def __init__(self, document: Document, path: Path, data: dict[str, object]) -> None:
        self._document = document
        self._data = dict(data)
        self.path = path

    @classmethod
    def root(cls, document: Document) -> "Table":
        return cls(document, (), document.data)

    def has(self, key: str) -> bool:
        return key in self._data

    def problem(self, text: str, *at: str | int) -> None:
        """Report under this table, or under the key (and item) `at` in it."""
        self._document.add((*self.path, *at), text)

    def only(self, *keys: str, of: str = "") -> None:
        """Report every other key, and forget it; `of` says whose keys these are."""
        for key in [key for key in self._data if key not in keys]:
            hint = nearest(key, keys) or f"valid keys{of}: {', '.join(keys)}"
            self.problem(f"unknown key{of}; {hint}", key)
            del self._data[key]

    def take(self, key: str, parse: Callable[[object], T], default: T) -> T:
        if key not in self._data:
            return default
        try:
            return parse(self._data[key])
        except Bad as bad:
            for at, said in bad.found:
                self.problem(said, key, *at)
            return default

    def maybe(self, key: str, parse: Callable[[object], T]) -> T | None:
        return self.take(key, parse, None) if key in self._data else None

    def need(self, key: str, parse: Callable[[object], T], blank: T, example: str) -> T:
        """A key that must be there; `blank` stands in for it until the problems are raised."""
        if key not in self._data:
            self.problem(f"missing; add {key} = {example}", key)
            return blank
        return self.take(key, parse, blank)

    def exactly_one(self, *keys: str, example: str) -> None:
        present = [key for key in keys if key in self._data]
        if len(present) != 1:
            found = " and ".join(present) or "none"
            self.problem(f"needs exactly one of {', '.join(keys)}, has {found}; for example {example}")

    def table(self, key: str) -> "Table | None":
        if key not in self._data:
            return None
        value = self._data[key]
        if isinstance(value, dict):
            return Table(self._document, (*self.path, key), value)
        self.problem(f"is {kind_of(value)}, must be a table", key)
        return None

    def tables(self, key: str, example: str) -> list["Table"]:
        """The items of `[[key]]` or `key = [{…}]`; none when the key is absent."""
        value = self._data.get(key, [])
        if not isinstance(value, list):
            self.problem(f"is {kind_of(value)}, must be a list of tables; write {example}", key)
            return []
        found = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                found.append(Table(self._document, (*self.path, key, index), item))
            else:
                self.problem(f"is {shown(item)}, must be a table; write {example}", key, index)
        return found
