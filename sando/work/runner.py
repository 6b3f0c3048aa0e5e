"""Runs jobs on threads and keeps each by key until its owner has committed its end; it never looks inside one."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from sando.model.errors import Cancelled, WorkError
from sando.work.cancel import CancelToken
from sando.work.outcome import Aborted, Done, Failed, Outcome

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[CancelToken], Any]
Tell: TypeAlias = Callable[[str, Outcome], None]
Hear: TypeAlias = Callable[[str, Any], None]


class _Job:
    """One piece of work; `outcome` is None while it runs. Guarded by the runner's lock."""

    def __init__(self, key: str, done: Tell, heard: Hear | None) -> None:
        self.key = key
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

    def start(self, key: str, work: Work, done: Tell, heard: Hear | None = None) -> None:
        """Run `work(token)` on a thread of its own; `done(key, outcome)` is called from there, once per owner.

        `heard(key, said)` is called for whatever the work says (`say`) while it runs.
        A key that is still held is a bug and raises RuntimeError. After `close` a job starts cancelled.
        """
        job = _Job(key, done, heard)
        with self._lock:
            if key in self._jobs:
                raise RuntimeError(f"job {key} is still held: forget it first")
            self._jobs[key] = job
            closed = self._closed
        if closed:
            job.token.cancel()
        job.thread = threading.Thread(target=self._run, args=(job, work), name=f"job {key}", daemon=True)
        try:
            job.thread.start()
        except RuntimeError as error:  # no thread to be had: the machine's fault, so an outcome and not a bug
            self._end(job, Failed(WorkError("internal", f"no thread for job {key}: {error}", errored=True)))

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
            running = job is not None and job.outcome is None
        if job is None or not running:
            return False
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
            job.token.cancel()
        until = time.monotonic() + deadline
        for job in jobs:
            if job.thread is not None and job.thread.ident is not None:
                job.thread.join(max(0.0, until - time.monotonic()))
        return tuple(job.key for job in jobs if job.thread is not None and job.thread.is_alive())

    def _run(self, job: _Job, work: Work) -> None:
        self._end(job, _outcome(job, work))

    def _end(self, job: _Job, outcome: Outcome) -> None:
        with (
            self._lock
        ):  # an owner that adopts before this is told here, one that adopts after it tells itself
            job.outcome = outcome
            done = job.done
        _tell(done, job.key, outcome)


def _outcome(job: _Job, work: Work) -> Outcome:
    try:
        return Done(work(job.token))
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
