"""Moving about on the main screen: which tier is selected, which panel has the keys, what of the events is seen. Pure."""

from msgspec.structs import replace

from sando.client.shapes import Tier
from tui.model.screen import Focus, Screen
from tui.model.steps import Step, stay

ORDER: tuple[Focus, ...] = ("tiers", "nodes", "events")


def vertical(screen: Screen, by: int) -> Step:
    """One step in the panel that has the keys."""
    match screen.focus:
        case "tiers":
            return select(screen, by)
        case "nodes":
            return stay(_nodes(screen, by))
        case "events":
            return stay(_events(screen, by))


def page(screen: Screen, by: int) -> Step:
    """A screenful: of the nodes where they have the keys, else of the events."""
    if screen.focus == "nodes":
        return stay(_nodes(screen, by * 5))
    return stay(_events(screen, by * max(1, screen.extents.events - 1)))


def to_end(screen: Screen, by: int) -> Step:
    """The first (negative) or last of the panel that has the keys."""
    match screen.focus:
        case "nodes":
            return stay(_nodes(screen, by * 10**6))
        case "events":
            return stay(_events(screen, by * 10**6))
        case "tiers":
            return select(screen, by * 10**6)


def select(screen: Screen, by: int) -> Step:
    tiers = screen.tiers
    if not tiers:
        return stay(screen)
    at = next((i for i, t in enumerate(tiers) if t.name == screen.selected), 0)
    return stay(_selected(screen, tiers[min(max(at + by, 0), len(tiers) - 1)]))


def settled(screen: Screen) -> Screen:
    """A tier is selected, and it is one of those that are shown."""
    tiers = screen.tiers
    if not tiers or any(t.name == screen.selected for t in tiers):
        return screen
    return _selected(screen, tiers[0])


def _selected(screen: Screen, tier: Tier) -> Screen:
    return screen if tier.name == screen.selected else replace(screen, selected=tier.name, nodes_top=0)


def focus(screen: Screen, by: int) -> Step:
    at = (ORDER.index(screen.focus) + by) % len(ORDER)
    return stay(replace(screen, focus=ORDER[at]))


def follow(screen: Screen) -> Step:
    """Off, the events stand still where they are."""
    stream = screen.stream
    if not stream.following:
        return stay(replace(screen, stream=replace(stream, top=None)))
    shown, _ = stream.shown(screen.needle, screen.extents.events)
    top = shown[0].n if shown else None
    return stay(replace(screen, stream=replace(stream, top=top)))


def _nodes(screen: Screen, by: int) -> Screen:
    return replace(screen, nodes_top=min(max(screen.nodes_top + by, 0), screen.extents.nodes_bottom))


def _events(screen: Screen, by: int) -> Screen:
    height = max(1, screen.extents.events)
    return replace(screen, stream=screen.stream.scrolled(screen.needle, height, by))
