"""Every key of the screen, in one table: what it does, how the footer and the help call it, and when it works. Pure."""

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tui.model import arrivals, asking, lacking, moving, reading, writing
from tui.model.effects import Leave, Repaint
from tui.model.screen import Act, Help, History, LogView, Question, Screen
from tui.model.steps import Step, replied, stay

Place: TypeAlias = Literal["main", "question", "log", "history", "help", "typing", "small"]


class Binding(Struct, frozen=True):
    """`label` is its word in the footer, where it has one; the lowest `rank` stays longest when there is little room.

    `lacks` says why the key does nothing now; empty where it works.
    """

    keys: tuple[str, ...]
    help: str
    do: Callable[[Screen, str], Step]
    label: str | Callable[[Screen], str] = ""
    shown: str = ""
    rank: int = 5
    lacks: Callable[[Screen], str] = lambda _: ""

    @property
    def name(self) -> str:
        """As the footer says it: short."""
        return self.shown or self.every

    @property
    def every(self) -> str:
        """All keys that do it, as the help says it."""
        return " ".join(_SYMBOL.get(k, k) for k in self.keys)

    def word(self, screen: Screen) -> str:
        return self.label if isinstance(self.label, str) else self.label(screen)


_SYMBOL = {
    "up": "↑", "down": "↓", "left": "←", "right": "→", "page-up": "PgUp", "page-down": "PgDn", "home": "Home", "end": "End",
    "tab": "Tab", "shift-tab": "Shift-Tab", "enter": "Enter", "escape": "Esc", "backspace": "Backspace", " ": "Space",
    "ctrl-c": "Ctrl-C", "ctrl-l": "Ctrl-L", "ctrl-u": "Ctrl-U", "ctrl-w": "Ctrl-W",
}  # fmt: skip


def place(screen: Screen) -> Place:
    """Who has the keys."""
    if screen.size.small:
        return "small"
    if screen.typing:
        return "typing"
    match screen.overlay:
        case Question():
            return "question"
        case LogView():
            return "log"
        case History():
            return "history"
        case Help():
            return "help"
        case _:
            return "main"


# -- what they do -------------------------------------------------------------------------------------------


def _leave(screen: Screen, _: str) -> Step:
    return screen, (Leave(),)


def _back(screen: Screen, _: str) -> Step:
    """Escape takes back one thing at a time; only where nothing is left to take back, it leaves."""
    if screen.filter:
        return stay(moving.settled(replace(screen, filter="")))
    return screen, (Leave(),)


def _ask(act: Act) -> Callable[[Screen, str], Step]:
    return lambda screen, _: asking.open_question(screen, act)


def _lock(screen: Screen, _: str) -> Step:
    tier = screen.tier
    return asking.open_question(screen, "unlock" if tier and tier.lock else "lock")


def _lock_word(screen: Screen) -> str:
    return "unlock" if screen.tier and screen.tier.lock else "lock"


def _plain(step: Callable[[Screen], Step]) -> Callable[[Screen, str], Step]:
    return lambda screen, _: step(screen)


def _by(step: Callable[[Screen, int], Step], amounts: dict[str, int]) -> Callable[[Screen, str], Step]:
    return lambda screen, key: step(screen, amounts[key])


def _overlay_by(amounts: dict[str, int]) -> Callable[[Screen, str], Step]:
    """Scrolls a question or the help; how far down is possible is known when it is painted."""

    def step(screen: Screen, key: str) -> Step:
        held = screen.overlay
        if not isinstance(held, Question | Help):
            return stay(screen)
        top = min(max(0, held.top + amounts[key]), screen.extents.overlay_bottom)
        return stay(replace(screen, overlay=replace(held, top=top)))

    return step


_LINE = {"up": -1, "down": 1, "k": -1, "j": 1}
_PAGE = {"page-up": -1, "page-down": 1}
_ENDS = {"home": -1, "end": 1, "g": -1, "G": 1}
_FAR = {"home": -(10**6), "end": 10**6, "g": -(10**6), "G": 10**6}
_TEN = {"page-up": -10, "page-down": 10}
_quit = Binding(("ctrl-c",), "quit, whatever is open", _leave)
_paint = Binding(("ctrl-l",), "draw the screen anew", lambda s, _: (s, (Repaint(),)))
_help = Binding(("?",), "this help", _plain(reading.open_help), "help", rank=0)


def _option(key: str, name: str, words: str) -> Binding:
    return Binding(
        (key,), words, asking.toggle, name.replace("_", " "), rank=2, lacks=lacking.not_offered(name)
    )


TABLE: dict[Place, tuple[Binding, ...]] = {
    "main": (
        Binding(tuple(_LINE), "select a tier; scroll the panel that has the keys", _by(moving.vertical, _LINE),
                "tier", "↑↓", 4),
        Binding(("p",), "promote into the selected tier (asks first)", _ask("promote"), "promote", rank=2, lacks=lacking.no_target),
        Binding(("R",), "roll the selected tier back (asks first)", _ask("rollback"), "roll back", rank=2,
                lacks=lacking.nothing_there),
        Binding(("c",), "confirm the version on the selected tier (asks first)", _ask("confirm"), "confirm", rank=2,
                lacks=lacking.no_word_asked),
        Binding(("x",), "abort what runs on the selected tier (asks first)", _ask("abort"), "abort", rank=2, lacks=lacking.idle),
        Binding(("L",), "lock the selected tier, or lift its lock (asks first)", _lock, _lock_word, rank=6, lacks=lacking.no_tier),
        Binding(("l",), "log of what runs on the tier, or ran last", _plain(reading.open_log), "log", rank=3, lacks=lacking.no_tier),
        Binding(("h",), "history of the tier: versions, who, why, when", _plain(reading.open_history), "history", rank=4,
                lacks=lacking.no_tier),
        Binding(("b",), "fetch the backup (asks first)", _ask("backup"), "backup", rank=8, lacks=lacking.no_tier),
        Binding(("/",), "show only the tiers and events with a text", _plain(writing.begin_filter), "filter", rank=6),
        Binding(("f",), "let the events stand still, or follow them", _plain(moving.follow), "follow", rank=7),
        Binding(("r",), "ask for the state now", _plain(arrivals.refresh), "refresh", rank=8),
        Binding(tuple(_PAGE), "a page of the events up or down", _by(moving.page, _PAGE)),
        Binding(tuple(_ENDS), "the first or last of the panel that has the keys", _by(moving.to_end, _ENDS)),
        Binding(("tab", "shift-tab"), "give the keys to the next panel", _by(moving.focus, {"tab": 1, "shift-tab": -1}),
                shown="Tab"),
        _paint,
        _help,
        Binding(("q",), "quit", _leave, "quit", rank=0),
        Binding(("escape",), "lift the filter, else quit", _back),
        _quit,
    ),
    "question": (
        Binding(("y",), "yes, do it", _plain(asking.agree), "yes, do it", rank=0, lacks=lacking.unagreed),
        Binding(("n", "escape", "q"), "no, and back", _plain(asking.cancel), "no", "n Esc", 0),
        Binding(("i",), "type a reason", _plain(writing.begin_reason), "reason", rank=1, lacks=lacking.no_reason_wanted),
        _option("h", "hotfix", "hotfix: skip the burn-in, this once"),
        _option("f", "force", "force: do it although it was marked bad or is current"),
        _option("o", "override_freeze", "override the freeze (needs a reason)"),
        _option("a", "abort_running", "stop the promotion that runs, then roll back"),
        Binding((*_LINE, *_TEN), "scroll", _overlay_by(_LINE | _TEN)),
        _paint,
        _quit,
    ),
    "log": (
        Binding(tuple(_LINE), "scroll", _by(reading.scroll_log, _LINE), "scroll", "↑↓", 3),
        Binding((*_PAGE, " "), "a page up or down",
                lambda s, k: reading.scroll_log(s, (_PAGE | {" ": 1})[k], pages=True)),
        Binding(tuple(_FAR), "the beginning, the end", _by(reading.scroll_log, _FAR), "ends", "g G", 4),
        Binding(("left", "right"), "the rest of long lines", _by(reading.shift_log, {"left": -16, "right": 16}),
                "sideways", "← →", 5),
        Binding(("/",), "search", _plain(writing.begin_search), "search", rank=2),
        Binding(("n", "N"), "the next line that was searched for, the one before", _by(reading.found, {"n": 1, "N": -1}),
                "next", "n N", 4),
        Binding(("f",), "let it stand still, or follow its end", _plain(reading.follow_log), "follow", rank=3),
        _paint,
        _help,
        Binding(("escape", "q"), "back", _plain(reading.close_log), "back", "Esc", 0),
        _quit,
    ),
    "history": (
        Binding(tuple(_LINE), "select an operation", _by(reading.move_history, _LINE), "select", "↑↓", 3),
        Binding(tuple(_TEN), "ten up or down", _by(reading.move_history, _TEN)),
        Binding(tuple(_FAR), "the newest, the oldest that is here", _by(reading.move_history, _FAR)),
        Binding(("enter", "l"), "its log", _plain(reading.open_chosen), "log", "Enter", 1),
        _paint,
        _help,
        Binding(("escape", "q", "h"), "back", lambda s, _: asking.cancel(s), "back", "Esc", 0),
        _quit,
    ),
    "help": (
        Binding((*_LINE, *_TEN), "scroll", _overlay_by(_LINE | _TEN), "scroll", "↑↓", 1),
        _paint,
        Binding(("escape", "q", "?"), "back", _plain(reading.close_help), "back", "Esc", 0),
        _quit,
    ),
    "typing": (
        Binding(("enter",), "done", _plain(writing.finish), "done", rank=0),
        Binding(("escape",), "give it up", _plain(writing.give_up), "give up", rank=0),
        Binding(("backspace",), "the last character", _plain(writing.erase), ""),
        Binding(("ctrl-w",), "the last word", _plain(writing.erase_word), "a word", rank=2),
        Binding(("ctrl-u",), "all of it", _plain(writing.erase_all), "all", rank=2),
        _paint,
        _quit,
    ),
    "small": (
        Binding(("q", "escape"), "quit", _leave, "quit", "q", 0),
        _paint,
        _quit,
    ),
}  # fmt: skip

_FOUND = {where: {key: b for b in table for key in b.keys} for where, table in TABLE.items()}


def struck(screen: Screen, key: str) -> Step:
    """What a key does: what the table says, text where a line is typed, else nothing."""
    where = place(screen)
    binding = _FOUND[where].get(key)
    if binding is None:
        return writing.typed(screen, key) if where == "typing" and len(key) == 1 else stay(screen)
    if why := binding.lacks(screen):
        return stay(replied(screen, why)) if binding.label else stay(screen)
    return binding.do(screen, key)
