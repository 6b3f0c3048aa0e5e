"""Runs jobs on threads and keeps each by key until its owner has committed its end; it never looks inside one."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from sando.model.errors import Cancelled, WorkError
from sando.work.cancel import CancelToken
from sando.work.outcome import Aborted, Done, Failed, Outcome

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[CancelToken], Any]
Tell: TypeAlias = Callable[[str, Outcome], None]
Hear: TypeAlias = Callable[[str, Any], None]

YOUNG, YOUNG_S = 16, 0.05
"""So many jobs may be in their first moments; the next begin when one of those ends, or when they are so old.

Hundreds that begin in one moment wait for Python's lock and for nothing else, and cost half as much again. A job that
lasts longer waits for something of its own, a node or a restart, and holds nobody up.
"""


class _Job:
    """One piece of work; `outcome` is None while it runs. Guarded by the runner's lock."""

    def __init__(self, key: str, work: Work, done: Tell, heard: Hear | None) -> None:
        self.key = key
        self.work = work
        self.done = done
        self.heard = heard
        self.token = CancelToken()
        self.outcome: Outcome | None = None
        self.thread: threading.Thread | None = None


class Runner:
    """DESIGN 2.5a: a job outlives its actor, and a restarted one adopts what is still held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._closed = False
        self._waiting: deque[_Job] = deque()
        self._young: set[_Job] = set()
        self._paced = False

    def start(self, key: str, work: Work, done: Tell, heard: Hear | None = None) -> None:
        """Run `work(token)` on a thread of its own; `done(key, outcome)` is called from there, once per owner.

        `heard(key, said)` is called for whatever the work says (`say`) while it runs. Among many others it may begin a
        moment later; one that is cancelled before that, or comes after `close`, is Aborted and is never begun.
        A key that is still held is a bug and raises RuntimeError.
        """
        job = _Job(key, work, done, heard)
        with self._lock:
            if key in self._jobs:
                raise RuntimeError(f"job {key} is still held: forget it first")
            self._jobs[key] = job
            closed = self._closed
            if not closed:
                self._waiting.append(job)
        if closed:
            self._end(job, Aborted())
        self._begin_some()

    def adopt(self, key: str, done: Tell, heard: Hear | None = None) -> bool:
        """A restarted owner takes its job back; False: nobody knows it. An ended one is told of from this thread."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                return False
            job.done, job.heard = done, heard
            outcome = job.outcome
        if outcome is not None:
            _tell(done, key, outcome)
        return True

    def say(self, key: str, said: object) -> None:
        """From the work itself: tell whoever owns the job now how far it is. Nobody has to hear it."""
        with self._lock:
            job = self._jobs.get(key)
            heard = job.heard if job is not None and job.outcome is None else None
        if heard is not None:
            _tell(heard, key, said)

    def cancel(self, key: str) -> bool:
        """Tell a job to stop; its end is told of as ever. False: nobody knows it, or it has ended."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.outcome is not None:
                return False
            waits = job in self._waiting
            if waits:
                self._waiting.remove(job)
        if waits:
            self._end(job, Aborted())
        job.token.cancel()
        return True

    def forget(self, key: str) -> None:
        """The owner has committed the end. Forgetting a job that runs is a bug and raises RuntimeError."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and job.outcome is None:
                raise RuntimeError(f"job {key} is still running: cancel it and wait for its end")
            self._jobs.pop(key, None)

    def held(self, prefix: str = "") -> tuple[str, ...]:
        """The keys that are not forgotten, running or ended, in the order of their start."""
        with self._lock:
            return tuple(key for key in self._jobs if key.startswith(prefix))

    def close(self, deadline: float) -> tuple[str, ...]:
        """Cancel all, wait up to `deadline` seconds for their ends, answer the keys that still run."""
        with self._lock:
            self._closed = True
            jobs = [job for job in self._jobs.values() if job.outcome is None]
        for job in jobs:
            self.cancel(job.key)
        until = time.monotonic() + deadline
        for job in jobs:
            if job.thread is not None and job.thread.ident is not None:
                job.thread.join(max(0.0, until - time.monotonic()))
        return tuple(job.key for job in jobs if job.thread is not None and job.thread.is_alive())

    def _begin_some(self) -> None:
        """As many as may begin now; while others wait there is a pacer."""
        while (job := self._next()) is not None:
            try:
                job.thread = _thread(self._run, job, name=f"job {job.key}")
                job.thread.start()
            except RuntimeError as error:
                # No thread to be had is the machine's fault, so an outcome and not a bug.
                why = f"no thread for job {job.key}: {error}"
                self._end(job, Failed(WorkError("internal", why, errored=True)))

    def _next(self) -> _Job | None:
        with self._lock:
            if self._waiting and len(self._young) >= YOUNG and not self._paced:
                self._paced = self._pace_them()
            if not self._waiting or len(self._young) >= YOUNG:
                return None
            job = self._waiting.popleft()
            self._young.add(job)
            return job

    def _pace_them(self) -> bool:
        try:
            _thread(self._pace, name="job pacer").start()
        except RuntimeError:  # nor will there be one for those that wait: each of them fails and says so
            self._young.clear()
            return False
        return True

    def _pace(self) -> None:
        more = True
        while more:
            time.sleep(YOUNG_S)
            with self._lock:
                self._young.clear()
                more = self._paced = bool(self._waiting)
            self._begin_some()

    def _run(self, job: _Job) -> None:
        self._end(job, _outcome(job))
        self._begin_some()

    def _end(self, job: _Job, outcome: Outcome) -> None:
        with (
            self._lock
        ):  # an owner that adopts before this is told here, one that adopts after it tells itself
            job.outcome = outcome
            done = job.done
            self._young.discard(job)
        _tell(done, job.key, outcome)


def _thread(work: Callable[..., None], *given: object, name: str) -> threading.Thread:
    return threading.Thread(target=work, args=given, name=name, daemon=True)


def _outcome(job: _Job) -> Outcome:
    try:
        return Done(job.work(job.token))
    except Cancelled:
        return Aborted()
    except WorkError as error:
        return Failed(error)
    except BaseException as error:  # a SystemExit in work must not be a job without an end
        log.exception("job %s: raised", job.key)
        return Failed(WorkError("internal", f"{type(error).__name__}: {error}", errored=True))


def _tell(told: Callable[[str, Any], None], key: str, what: object) -> None:
    try:
        told(key, what)
    except Exception:
        log.exception("job %s: its owner could not be told", key)
