"""All the threads that ask for the screen, as one: started, told what is wanted, stopped. One that fails says so."""

import threading
from collections.abc import Callable
from typing import Protocol

from sando.client.address import Address
from sando.client.shapes import State
from tui.client.errands import Errands
from tui.client.hearer import Hearer
from tui.client.poller import Poller
from tui.client.reader import LogReader
from tui.model.effects import (
    AskHistory,
    AskOperation,
    AskOutcome,
    AskPlan,
    Effect,
    FollowLog,
    Refresh,
    Send,
    StopLog,
)
from tui.model.messages import Broken, Message


class Worker(Protocol):
    def run(self) -> None: ...

    def stop(self) -> None: ...


class Crew:
    """`post` is called from all of these threads."""

    def __init__(self, address: Address, post: Callable[[Message], None]) -> None:
        self._address = address
        self._post = post
        self._poller = Poller(address, post, self._on_state)
        self._hearer = Hearer(address, post, self._poller.nudge)
        self._questions = Errands(address, post)
        self._acts = Errands(address, post)
        self._log: LogReader | None = None

    def start(self) -> None:
        workers: tuple[Worker, ...] = (self._poller, self._hearer, self._questions, self._acts)
        for worker in workers:
            self._begin(worker)

    def stop(self) -> None:
        """Nobody waits for what is under way: the threads end with the program."""
        for worker in (self._poller, self._hearer, self._questions, self._acts, self._log):
            if worker:
                worker.stop()

    def do(self, effect: Effect) -> None:
        match effect:
            case AskPlan() | AskOperation() | AskOutcome() | AskHistory():
                self._questions.put(effect)
            case Send():
                self._acts.put(effect)
            case FollowLog():
                self._follow(effect)
            case StopLog():
                self._follow(None)
            case Refresh():
                self._poller.hurry()
            case _:
                pass  # the terminal's business

    def _on_state(self, state: State) -> None:
        self._hearer.known(state.seq)

    def _follow(self, wanted: FollowLog | None) -> None:
        if self._log:
            self._log.stop()
        self._log = LogReader(self._address, self._post, wanted) if wanted else None
        if self._log:
            self._begin(self._log)

    def _begin(self, worker: Worker) -> None:
        def run() -> None:
            try:
                worker.run()
            except Exception as error:  # noqa: BLE001  (standard error would be written over the screen)
                self._post(Broken(f"{type(worker).__name__}: {type(error).__name__}: {error}"))

        threading.Thread(target=run, name=type(worker).__name__, daemon=True).start()
