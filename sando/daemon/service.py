"""What systemd is told of the daemon, from a thread of its own: READY, STATUS, WATCHDOG, RELOADING, STOPPING.

A ping is sent only when every loop without which there is no daemon has come round since the last one: each actor's
inbox, the timer, the accept loop of the server, the runner's lock. It restarts nothing: that is systemd's part, and that of
the actors, who replace one of theirs that hangs well before; too many threads left behind thereby end the pings, too. An
actor that is slow, since each save waits for a locked store, does not hang: it still takes one message after the other.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from actors.messages import Beat, Pulse
from sando.daemon import crew, stacks
from sando.model.headline import headline
from sando.sd import Notify, monotonic_usec

log = logging.getLogger("sandod")

BEATS = 3
"""Rounds within the time that systemd waits for a ping: one that is lost is no hang."""
START_S = 2.0
"""How long one round may take before the daemon is ready; another one follows."""
PAUSE_S = 0.05
OLDEST_S = 600.0
"""A message that has waited for so long is a hang, whatever else its actor does meanwhile."""
STATUS_S = 1.0
"""Statuses are this far apart: a busy minute is no flood in the journal of systemd."""


@dataclass(frozen=True, slots=True)
class Loops:
    """How each critical loop is asked to come round; `state` is the one of GET /state, None until there is one."""

    tell: Callable[[object], None]
    after: Callable[[float, Callable[[], Any]], object]
    turn: Callable[[Callable[[], None]], None]
    held: Callable[[], object]
    state: Callable[[], Any]


class Service:
    """`start` once all parts run; `news` on every publication; `close` at the very end."""

    def __init__(self, notify: Notify, loops: Loops, about: Callable[[], str]) -> None:
        self._notify = notify
        self._loops = loops
        self._about = about
        self._speech = threading.Lock()
        """Held while something is said: what comes after STOPPING is no READY. `news` never waits for it."""
        self._bell = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._ready = self._stopping = self._closed = self._hangs = False
        self._news = True
        self._beat_at = self._status_at = 0.0
        self._beat: Beat | None = None
        self._sent_at = 0.0

    def start(self) -> None:
        """Nothing runs where nobody listens."""
        if self._notify.heard:
            self._thread.start()

    def news(self) -> None:
        if not self._news:
            self._news = True
            self._bell.set()

    def look_behind(self) -> None:
        """An actor was replaced. Where systemd waits for pings it hears of it, elsewhere whoever reads the log."""
        if not self._notify.watchdog_s:
            for told in crew.too_many_left():
                log.error("restart sandod, there hang: %s; %s", told, stacks.oldest())

    def close(self) -> None:
        self._closed = True
        self._bell.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    # -- what others tell it ----------------------------------------------------------------------------------

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """RELOADING now, READY when it is over, however it went; one at a time is the caller's part."""
        with self._speech:
            if self._ready and not self._stopping:
                self._notify.say(RELOADING=1, MONOTONIC_USEC=monotonic_usec(), STATUS="reads its files again")
        try:
            yield
        finally:
            with self._speech:
                if self._ready and not self._stopping:
                    self._notify.say(READY=1, STATUS=self._headline())

    def stopping(self, why: str) -> None:
        """The first word of every orderly end."""
        with self._speech:
            if not self._stopping:
                self._stopping = True
                self._notify.say(STOPPING=1, STATUS=why)

    def extend(self, seconds: float) -> None:
        """It still stops, and knows that it will not take longer than this."""
        with self._speech:
            if self._stopping:
                self._notify.say(
                    EXTEND_TIMEOUT_USEC=int(seconds * 1e6), STATUS=f"stopping; {self._headline()}"
                )

    # -- its thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed:
            now = time.monotonic()
            if now >= self._beat_at:
                self._round()
            elif self._news and now >= self._status_at:
                self._tell_status()
            else:
                self._sleep(now)

    def _sleep(self, now: float) -> None:
        due = min(self._beat_at, self._status_at) if self._news else self._beat_at
        self._bell.wait(min(max(0.0, due - now), threading.TIMEOUT_MAX))
        self._bell.clear()

    def _tell_status(self) -> None:
        with self._speech:
            self._news, self._status_at = False, time.monotonic() + STATUS_S
            if self._ready and not self._stopping and not self._hangs:
                self._notify.say(STATUS=self._headline())

    def _round(self) -> None:
        """All loops once round; then READY, the first time, and a ping where one is waited for."""
        every, begun = self._notify.watchdog_s / BEATS, time.monotonic()
        late, unready = self._turn(every if self._ready else START_S)
        if late:
            self._hung(late)
        elif self._hangs:
            log.warning("all loops turn again")
            self._hangs, self._news = False, True
        if not late and not unready and not self._ready:
            self._become_ready()
        if not late and self._ready and every:
            self._notify.say(WATCHDOG=1)
        pause = PAUSE_S if not self._ready else every or threading.TIMEOUT_MAX
        since = begun if late else time.monotonic()  # a ping is due as soon as it is earned again
        self._beat_at = since + pause

    def _turn(self, seconds: float) -> tuple[list[str], bool]:
        """Which loops did not come round in that time, and whether one has no state yet."""
        until = time.monotonic() + seconds
        beat = self._pending()
        timer, runner, server = threading.Event(), threading.Event(), threading.Event()

        def come_round() -> None:
            timer.set()
            self._loops.held()
            runner.set()

        self._loops.after(0.0, come_round)
        self._loops.turn(server.set)
        late = [] if beat.wait(until - time.monotonic()) else self._hanging(beat, seconds)
        late += crew.too_many_left()
        for name, turned in (("timer", timer), ("runner", runner), ("server", server)):
            if not turned.wait(max(0.0, until - time.monotonic())):
                late.append(name)
        return late, bool(beat.late or beat.unready) or self._loops.state() is None

    def _pending(self) -> Beat:
        """The walk that has not ended yet, or a new one: they do not pile up before an actor that hangs."""
        if self._beat is None or not self._beat.late:
            self._beat, self._sent_at = Beat(), time.monotonic()
            self._beat.sent("root")
            self._loops.tell(Pulse(self._beat))
        return self._beat

    def _hanging(self, beat: Beat, seconds: float) -> list[str]:
        """Of those who have not come round: who has had the same thing in hand all the time, or takes nothing at all."""
        if time.monotonic() - self._sent_at > OLDEST_S:
            return list(beat.late)
        busy = stacks.busy_for()
        return [place for place in beat.late if not 0.0 <= busy.get(place, seconds) < seconds]

    def _become_ready(self) -> None:
        with self._speech:
            self._ready = True
            if not self._stopping:
                self._notify.say(READY=1, STATUS=self._headline())
        log.info("ready")

    def _hung(self, late: list[str]) -> None:
        told = f"{', '.join(late)}; {stacks.oldest()}"
        if self._ready:
            if not self._hangs:
                stacks.print_stacks("a loop that hangs")
            self._hangs = True
            log.error("no ping for the watchdog, hangs: %s", told)
        with self._speech:
            if not self._stopping:
                self._notify.say(STATUS=f"{'hangs' if self._ready else 'starting, waits for'}: {told}")

    def _headline(self) -> str:
        state = self._loops.state()
        return f"{self._about()}: {headline(state)}" if state else self._about()
