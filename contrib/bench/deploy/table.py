"""What was measured, as markdown: seconds by way and cell, and the ratios that SPEC 20 sets a bar for. It measures nothing."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field

from ways import Way

FIRST, NEXT, BACK = "first", "next", "back"
_TITLES = {
    FIRST: "deploy: upload, sha256, switch, health command",
    NEXT: "the next deploy, 1 % changed",
    BACK: "rollback: switch, health command",
}
_FLOOR_BAR, _SHORT_S, _GRACE_S = 1.6, 0.5, 0.1
_NEXT_BAR_MANY, _NEXT_BAR_ONE, _BACK_BAR = 0.5, 1.0, 0.1
_MANY = 16

Place = tuple[str, int]
"""The payload and the number of nodes."""


@dataclass
class Book:
    places: list[Place]
    times: dict[tuple[str, str, Place], list[float]] = field(default_factory=lambda: defaultdict(list))
    troubles: dict[str, str] = field(default_factory=dict)
    """By way: why it is not in the table, or not everywhere in it."""
    absent: set[str] = field(default_factory=set)
    """Ways that are not installed."""

    def add(self, section: str, way: Way, place: Place, seconds: float) -> None:
        self.times[section, way.name, place].append(seconds)

    def middle(self, section: str, way: str, place: Place) -> float | None:
        times = self.times.get((section, way, place))
        return statistics.median(times) if times else None

    def cell(self, section: str, way: str, place: Place) -> str:
        times = self.times.get((section, way, place))
        if not times:
            return "not installed" if way in self.absent else "failed" if way in self.troubles else "-"
        if len(times) == 1:
            return f"{_shown(times[0])} (once)"
        low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
        return f"{_shown(middle)} ({_shown(low)} - {_shown(high)})"


def tables(book: Book, ways: list[Way]) -> str:
    """All three tables, then the ratios, then what went wrong."""
    parts = [_table(book, ways, section, _places(book, section)) for section in _TITLES]
    parts += [_ratios(book, ways)]
    parts += [f"{way} {reason}" for way, reason in book.troubles.items()]
    return "\n\n".join(part for part in parts if part)


def _places(book: Book, section: str) -> list[Place]:
    return [p for p in book.places if any(key[0] == section and key[2] == p for key in book.times)]


def _table(book: Book, ways: list[Way], section: str, places: list[Place]) -> str:
    rows = [(label, way.name) for way in ways if (label := _label(way, section))]
    if not places:
        return ""
    lines = [f"### {_TITLES[section]} (seconds, median and quartiles)", ""]
    lines += _head("way", places)
    lines += [_row(label, [book.cell(section, name, p) for p in places]) for label, name in rows]
    return "\n".join(lines)


def _label(way: Way, section: str) -> str:
    return {FIRST: way.first_label, NEXT: way.next_label, BACK: way.back_label}[section]


def _ratios(book: Book, ways: list[Way]) -> str:
    peers = [way.name for way in ways if way.first_label and way.name not in {"tar", "sandod"}]
    columns = book.places
    rows = [
        ("deploy: sandod / floor (bar 1.6, +100 ms under 0.5 s)", [_to_floor(book, p) for p in columns]),
        ("deploy: sandod / fastest of rsync and peers (bar 1)", [_to_peers(book, peers, p) for p in columns]),
        ("1 % changed: sandod / rsync cold (bar 0.5 at 16, 1 at 1)", [_to_rsync(book, p) for p in columns]),
        ("rollback: sandod / ssh loop, cold (bar 0.1 at 16)", [_to_loop(book, p) for p in columns]),
    ]
    shown = [_row(name, cells) for name, cells in rows if any(cell != "-" for cell in cells)]
    return "\n".join(["### ratios", "", *_head("ratio", columns), *shown]) if shown else ""


def _to_floor(book: Book, place: Place) -> str:
    floor = book.middle(FIRST, "tar", place)
    bar = 0.0 if floor is None else _FLOOR_BAR * floor + (_GRACE_S if floor < _SHORT_S else 0)
    return _verdict(book.middle(FIRST, "sandod", place), floor, bar)


def _to_peers(book: Book, peers: list[str], place: Place) -> str:
    found = [(seconds, name) for name in peers if (seconds := book.middle(FIRST, name, place)) is not None]
    if not found:
        return "-"
    seconds, name = min(found)
    verdict = _verdict(book.middle(FIRST, "sandod", place), seconds, seconds)
    return verdict if verdict == "-" else f"{verdict} ({name})"


def _to_rsync(book: Book, place: Place) -> str:
    rsync = book.middle(NEXT, "rsync", place)
    bars = {1: _NEXT_BAR_ONE, _MANY: _NEXT_BAR_MANY}
    bar = bars[place[1]] * (rsync or 0) if place[1] in bars else None
    return _verdict(book.middle(NEXT, "sandod", place), rsync, bar)


def _to_loop(book: Book, place: Place) -> str:
    loop = book.middle(BACK, "rsync", place)
    bar = _BACK_BAR * (loop or 0) if place[1] >= _MANY else None
    return _verdict(book.middle(BACK, "sandod", place), loop, bar)


def _verdict(mine: float | None, other: float | None, bar: float | None) -> str:
    """The ratio, and whether `mine` is within `bar` seconds; None: there is no bar here."""
    if mine is None or other is None:
        return "-"
    ratio = f"{mine / other:.2f}"
    return ratio if bar is None else f"{ratio} ok" if mine <= bar else f"**{ratio} over**"


def _head(name: str, places: list[Place]) -> list[str]:
    return [
        _row(name, [f"{payload} ×{count}" for payload, count in places]),
        "|" + " --- |" * (len(places) + 1),
    ]


def _row(name: str, cells: list[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def _shown(seconds: float) -> str:
    """Three figures are more than this machine can repeat."""
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}"
