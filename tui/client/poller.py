"""Asks for the state every two seconds, at once when something happened, and ever more rarely while nobody answers."""

import contextlib
import random
import threading
from collections.abc import Callable

import msgspec

from sando.client.address import Address
from sando.client.caller import Answer, Caller, Unreachable
from sando.client.shapes import Operation, State
from tui.model.messages import Arrived, Asked, Lost, Message
from tui.model.screen import Trouble

EVERY_S = 2.0
AT_MOST_EVERY_S = 0.25
"""However much happens."""
SLOWEST_S = 15.0
REFUSED_S = 10.0
"""Who was refused is refused again, until somebody changes the token: there is no hurry."""


class Poller:
    """One thread. `nudge` asks soon, `hurry` now."""

    def __init__(
        self, address: Address, post: Callable[[Message], None], on_state: Callable[[State], None]
    ) -> None:
        self._address = address
        self._post = post
        self._on_state = on_state
        self._caller = Caller(address)
        self._etag = ""
        self._state: State | None = None
        self._failures = 0
        self._woken = threading.Event()
        self._hurried = threading.Event()
        self._stopped = threading.Event()

    def nudge(self) -> None:
        """Something happened: while the daemon answers, the state is asked for without waiting for the time."""
        if not self._failures:
            self._woken.set()

    def hurry(self) -> None:
        self._hurried.set()
        self._woken.set()

    def stop(self) -> None:
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        while not self._stopped.is_set():
            self._hurried.clear()
            self._woken.clear()
            self._post(Asked())
            self._rest(self._ask())
        self._caller.close()

    def _rest(self, seconds: float) -> None:
        if not self._hurried.is_set():
            self._stopped.wait(min(AT_MOST_EVERY_S, seconds))
        self._woken.wait(max(0.0, seconds - AT_MOST_EVERY_S))

    def _ask(self) -> float:
        """The seconds until it is asked again."""
        try:
            known = {"If-None-Match": self._etag} if self._etag and self._state else {}
            answer = self._caller.get("/state", headers=known)
            if answer.ok:
                return self._answered(answer)
            trouble = _refusal(answer)
        except Unreachable as error:
            trouble = Trouble(str(error), "is sandod started, and is SANDO_DAEMON its address?")
        self._failures += 1
        most = REFUSED_S if trouble.refused else SLOWEST_S
        seconds = min(most, 2.0 ** (self._failures - 1)) * random.uniform(0.8, 1.2)  # noqa: S311  (no secret)
        self._post(Lost(trouble, seconds))
        return seconds

    def _answered(self, answer: Answer) -> float:
        state = None
        if answer.status != 304:
            try:
                state = _decoder.decode(answer.body)
            except msgspec.DecodeError:
                raise Unreachable(
                    f"{self._address.url}: what answers is not sandod, or another version of it"
                ) from None
            self._etag, self._state = answer.headers.get("etag", ""), state
        operations = self._in_flight()
        back, self._failures = self._failures > 0, 0
        self._post(Arrived(state, operations))
        if self._state and (
            state or back
        ):  # who was away has its events again, also where nothing else is new
            self._on_state(self._state)
        return EVERY_S

    def _in_flight(self) -> tuple[Operation, ...]:
        """How far each is, which the state does not tell; one that cannot be had is left out."""
        state = self._state
        if state is None:
            return ()
        numbers = {t.operation for t in state.tiers} | {state.build.operation if state.build else None}
        numbers |= {g.operation for t in state.tiers for g in t.gates if g.outcome == "running"}
        found = []
        for number in sorted(n for n in numbers if n is not None):
            answer = self._caller.get(f"/operations/{number}")
            with contextlib.suppress(msgspec.ValidationError):
                if answer.status == 200:
                    found.append(msgspec.convert(answer.json(), Operation))
        return tuple(found)


_decoder = msgspec.json.Decoder(State)


def _refusal(answer: Answer) -> Trouble:
    problem = answer.problem()
    refused = answer.status in {401, 403}
    hint = "set SANDO_TOKEN to a token of this sandod" if answer.status == 401 else problem.hint
    said = f"{problem.detail or problem.code} ({answer.status})"
    return Trouble(said, hint, refused, answered=problem.code != "not_sandod")
