"""The events that both ways send, and how a server of the bench speaks to it."""

from datetime import UTC, datetime

from sando.model.events import Event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DATA = {"gate": "boot_smoke", "kind": "boot_smoke", "outcome": "passed", "message": "x" * 40, "seconds": 3.2}


def event(seq: int) -> Event:
    """About 300 bytes."""
    return Event(
        "GateDone",
        NOON,
        seq=seq,
        operation=44,
        tier="a",
        version="0.8.2",
        sha="ab" * 20,
        actor="max",
        data=DATA,
    )


def say(word: float) -> None:
    print(word, flush=True)
