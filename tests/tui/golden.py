"""Whole screens as they should look, kept as text: each row, and below it its styles. `python -m tests.tui.golden` writes them.

A letter for each style, a capital where the row is selected: they are read by people when they change.
"""

from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from sando.client.shapes import Freeze, Operations, Problem
from tests.tui.samples import (
    BACK,
    BLOCKED,
    BUILDING,
    DONE,
    FAILED,
    MM,
    NOON,
    PLAN,
    RUNNING,
    STATE,
    URL,
    A,
    B,
    C,
    after,
    asked,
    on,
    opened,
    seen,
)  # fmt: skip
from tui.model.messages import Arrived, Asked, Feed, HistoryPage, LogMore, Lost, Planned, Resized, Tick
from tui.model.screen import Screen, Trouble
from tui.panels.picture import draw
from tui.text import cells

FOLDER = Path(__file__).with_name("golden")
LETTERS = {
    "plain": ".", "dim": "d", "strong": "s", "ok": "o", "bad": "b", "warn": "w", "busy": "u", "accent": "a", "frame": "-",
    "focus": "f", "found": "x",
}  # fmt: skip
GONE = Trouble(f"{URL}: nothing listens there", "is sandod started, and is SANDO_DAEMON its address?")
DEPLOYING = replace(STATE, tiers=(MM, replace(A, status="deploying", operation=44), replace(B, lock=None), C))
LOG = "sando: checkout of 1a2b3c4\n" + "".join(f"   Compiling crate-{n} v1.{n}.0\n" for n in range(40)) + (
    "\x1b[31mwarning\x1b[0m: a line that goes on and on and on, further than any terminal that is eighty columns wide can show\n"
    " 10%\r 100%\n日本語 🚀\tdone\n"
)  # fmt: skip


def reading(screen: Screen) -> Screen:
    return seen(after(seen(after(screen, "l")), LogMore(1, replace(RUNNING, kind="build", tier="mm"), LOG)))


def histories(width: int, height: int) -> Screen:
    page = Operations((RUNNING, DONE, FAILED), None)
    return after(on("a", width=width, height=height), "h", HistoryPage(1, page), "j")


SCREENS = {
    "main-80x24": on("a"),
    "main-120x40": on("a", width=120, height=40),
    "main-200x60": on("b", width=200, height=60),
    "build-tier-80x24": opened(),
    "building-80x24": after(opened(state=BUILDING), Arrived(BUILDING, (replace(RUNNING, id=42, kind="build", version=None, step="build"),))),
    "deploying-80x24": after(on("a", state=DEPLOYING), Arrived(DEPLOYING, (RUNNING,))),
    "focus-on-events-80x24": after(on("a"), "tab", "tab"),
    "filter-80x24": after(opened(), "/", *"deploy"),
    "away-80x24": after(on("a"), Lost(GONE, 4.0), Tick(NOON + timedelta(seconds=2))),
    "slow-80x24": after(on("a"), Asked(), Tick(NOON + timedelta(seconds=5))),
    "no-events-80x24": after(on("a"), Feed(up=False, detail="cut")),
    "nobody-80x24": after(Screen(URL), Tick(NOON), Lost(GONE, 4.0)),
    "token-80x24": after(Screen(URL), Tick(NOON), Lost(Trouble("a token is required (401)", "set SANDO_TOKEN", refused=True), 10.0)),
    "connecting-80x24": after(Screen(URL), Tick(NOON)),
    "frozen-80x24": on("a", state=replace(STATE, tiers=(MM, replace(A, freeze=Freeze(NOON + timedelta(hours=8))), B))),
    "promote-80x24": asked(on("a"), "p", PLAN),
    "promote-120x40": asked(on("a", width=120, height=40), "p", PLAN),
    "promote-asking-80x24": after(on("a"), "p"),
    "blocked-80x24": asked(on("b"), "p", BLOCKED),
    "rollback-80x24": asked(on("a"), "R", BACK),
    "confirm-80x24": asked(on("a"), "c", BLOCKED),
    "abort-80x24": asked(on("a", state=DEPLOYING), "x", operation=RUNNING),
    "lock-80x24": after(on("a"), "L", *"audit of the"),
    "unlock-80x24": asked(on("b"), "L"),
    "backup-80x24": asked(opened(), "b"),
    "refused-80x24": after(on("a"), "p", Planned(1, problem=Problem(409, "tier_busy", "promote 44 of 0.8.4 by max runs on tier a (step upload)", "wait for /operations/44"))),
    "note-80x24": after(on("mm"), "p"),
    "help-80x24": after(opened(), "?"),
    "help-120x40": after(opened(120, 40), "?"),
    "log-80x24": reading(opened()),
    "log-search-80x24": after(reading(opened()), "/", *"crate-7", "enter", "right"),
    "history-80x24": histories(80, 24),
    "history-120x40": histories(120, 40),
    "small-60x12": after(opened(), Resized(60, 12)),
    "tiny-9x2": after(opened(), Resized(9, 2)),
}  # fmt: skip
IN_ASCII = ("main-80x24", "promote-80x24")


def lines(screen: Screen, *, unicode: bool = True) -> list[str]:
    made = []
    for row in draw(screen, unicode=unicode).rows:
        made.append("".join(s.text for s in row) + "<")
        letters = (
            LETTERS[s.style].upper() if s.lit else LETTERS[s.style] for s in row for _ in range(cells(s.text))
        )
        made.append("".join(letters) + "<")
    return made


ASCII = "-ascii"
NAMES = (*SCREENS, *(name + ASCII for name in IN_ASCII))


def one(name: str) -> list[str]:
    return lines(SCREENS[name.removesuffix(ASCII)], unicode=not name.endswith(ASCII))


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name in NAMES:
        (FOLDER / f"{name}.txt").write_text("\n".join(one(name)) + "\n")


if __name__ == "__main__":
    write()
