"""One random order of everything that may happen to a daemon, from a seed; what must hold is in `calm`."""

import random
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from actors.base import HANG_S, ROUND_S
from actors.messages import (
    AbortOperation,
    Confirm,
    FetchBackup,
    LockTier,
    Promote,
    Rebuild,
    Reject,
    Reload,
    Reply,
    Rollback,
    RunGate,
    UnlockTier,
)
from sando.model.backup import Arriving
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.snapshot import Snapshot
from sando.model.topology import Topology
from sando.work.outcome import Aborted, Done, Failed
from tests.actors.calm import check_start
from tests.actors.conftest import MEMORY
from tests.factories import CARGO, CONFIRM, REHEARSAL, SMOKE, gate, nodes, sha, tier, topology
from tests.harness import Job, Stage, outcome_of
from tests.sleeper import Sleeper
from tests.world import World

VERSIONS = ("1.0", "1.1", "2.0")
CRASHES = 4

TOPOLOGIES = 12


@cache
def topology_of(number: int) -> Topology:
    rand = random.Random(number)
    canary = ("sequential", "parallel", "first-then-rest")[number % 3]
    on_failure = ("rollback", "halt")[number % 2]
    once = rand.choice((None, "./server migrate"))
    hold = rand.choice((0.0, 0.0, 30.0))
    burn = gate("burn_in", duration_s=rand.choice((0.0, 40.0)))
    mm = tier("mm", 0, CARGO, *((SMOKE,), (REHEARSAL,), (REHEARSAL, SMOKE), ())[number % 4])
    a = tier("a", rand.choice((1, 2)), SMOKE, burn) if rand.random() < 0.6 else tier("a", 1)
    b = tier(
        "b", rand.choice((2, 3)), CONFIRM, canary=canary, on_failure=on_failure, once=once, canary_hold_s=hold
    )
    made = topology(mm, a, b)
    return replace(made, backup=made.backup and replace(made.backup, schedule_s=rand.choice((None, 50.0))))


def guesses_of(number: int) -> tuple[str, ...]:
    """What the rehearsals of this topology find out about the way back."""
    words = ("yes", "no", "unknown")
    first = number // 4 % 3
    return (*words[first:], *words[:first])


@cache
def history_of(number: int) -> tuple[bytes, World]:
    """A store and a world in which two versions have gone all the way, and a third one waits on the build tier."""
    with tempfile.TemporaryDirectory(prefix="sando-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        stage = Stage(Path(folder) / "sando.db", topology_of(number))
        stage.world.guesses = guesses_of(number)
        for version in (1, 2, 3):
            stage.world.push(sha(version), VERSIONS[version - 1])
            stage.accepted(Rebuild())
            stage.finish_all()
            for name in ("a", "b") if version < 3 else ():
                stage.accepted(Promote(name, hotfix=True))
                stage.finish_all()
        stage.kill()
        return Path(folder, "sando.db").read_bytes(), stage.world


def stage_of(path: Path, number: int, seed: int, *, empty: bool) -> Stage:
    slow_looks, together_s = seed % 2 == 1, 0.01 * (seed % 3 == 1)
    if empty:
        stage = Stage(path, topology_of(number), seed, slow_looks=slow_looks, together_s=together_s)
        stage.world.guesses = guesses_of(number)
    else:
        store, world = history_of(number)
        path.write_bytes(store)
        stage = Stage(
            path, topology_of(number), seed, world.copy(), slow_looks=slow_looks, together_s=together_s
        )
    stage.world.looks_at_once = seed % 5 < 2
    return stage


class Storm:
    """Every choice comes from the seed. `replies` are those that must be answered in the end."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = rand = random.Random(seed)
        number, empty = rand.randrange(TOPOLOGIES), rand.random() < 0.2
        self.base = topology_of(number)
        self.stage = stage_of(path, number, seed, empty=empty)
        self.replies: list[tuple[Any, Reply]] = []
        self.shas: list[str] = list(self.stage.world.commits)
        self.crashes = 0
        self.gentle = rand.random() < 0.3
        self.log: list[str] = []
        self.asleep: list[Sleeper] = []
        self._watch()
        self.acts: list[tuple[int, Callable[[], None]]] = [
            (30, self.some_steps), (30, self.end_a_job), (4, self.push), (3, self.rebuild), (9, self.promote),
            (8, self.roll_back), (4, self.confirm), (2, self.run_gate), (3, self.abort), (2, self.lock),
            (2, self.reload), (1, self.fetch), (5, self.time_passes), (4, self.crash), (3, self.store_away),
            (1, self.bug_after_commit), (1, self.shut_down), (1, self.kill), (4, self.all_well), (8, self.hang), (2, self.wake),
        ]  # fmt: skip

    def _watch(self) -> None:
        """What must hold at every moment is looked at as it happens."""
        self.stage.board.sinks.append(self._look)
        self.stage.runner.on_start = lambda job: check_start(self.stage, job)

    def _look(self, snapshot: Snapshot, _events: Any) -> None:
        for shown in snapshot.state["tiers"]:
            version = shown["current_version"]
            release = self.stage.store.release(version) if version else None
            assert version is None or (release and release.green), f"{shown['name']} shows {version}"

    def run(self, acts: int) -> None:
        kinds = [a for _, a in self.acts]
        weights = [w for w, _ in self.acts]
        if not self.shas or self.random.random() < 0.5:
            self.push()
        for act in self.random.choices(kinds, weights, k=acts):
            self.log.append(act.__name__)
            act()
        self.settle()

    def tell(self, message: Any) -> None:
        self.log[-1:] = [repr(message)[:150]]
        self.replies.append((message, self.stage.tell(message)))

    # -- what may happen ---------------------------------------------------------------------------------------

    def some_steps(self) -> None:
        for _ in range(self.random.randint(1, 12)):
            self.stage.step()

    def all_well(self) -> None:
        """A while without trouble, so that some orders come far."""
        for _ in range(self.random.randint(1, 10)):
            self.stage.drain()
            jobs = self.stage.runner.running()
            if jobs:
                self.stage.runner.finish(self.random.choice(jobs))
        self.stage.drain()

    def end_a_job(self) -> None:
        jobs = self.stage.runner.running()
        if jobs:
            job = self.random.choice(jobs)
            outcome = self._outcome(job)
            self.log[-1] = f"{job.key} ends with {outcome!r}"[:150]
            self.stage.runner.finish(job, outcome)

    def _outcome(self, job: Job) -> Any:
        dice = self.random.random()
        if job.token.cancelled and dice < 0.7:
            return Aborted()
        well = 0.9 if self.gentle else 0.7 if job.kind == "perform" else 0.8
        if dice < well or job.kind in {"resolve", "tidy", "verify"}:
            return outcome_of(job)
        if job.kind == "gate" and dice < 0.9:
            return Done(Verdict(passed=False, message="red"))
        if job.kind == "perform" and dice > 0.93:
            outcome_of(job)  # the effect was there, and then something went wrong
        return Failed(WorkError(job.kind, "said no", errored=self.random.random() < 0.4))

    def push(self) -> None:
        world = self.stage.world
        if self.shas and self.random.random() < 0.2:
            world.tip = self.random.choice(self.shas)
        else:
            self.shas.append(world.push(sha(len(self.shas) + 1), self.random.choice(VERSIONS)))
        if self.random.random() < 0.9:
            self.log.append("")
            self.tell(Rebuild(moved=self.random.random() < 0.7))

    def rebuild(self) -> None:
        wanted = self.random.choice([None, "f" * 40, *self.shas])
        self.tell(Rebuild(wanted, force=self.random.random() < 0.4))

    def _tier(self, *more: str) -> str:
        return self.random.choice(("a", "b", *more))

    def _version(self) -> str | None:
        known = [r.version for r in self.stage.store.releases()]
        return self.random.choice(known) if known and self.random.random() < 0.25 else None

    def promote(self) -> None:
        some = self.random.random
        hotfix = some() < 0.3
        self.tell(
            Promote(
                self._tier(), self._version(), hotfix=hotfix, reset_burn_in=hotfix and some() < 0.4, force=some() < 0.25
            )
        )  # fmt: skip

    def roll_back(self) -> None:
        """Every other one stops a promotion, where one runs."""
        version = self._version() if self.random.random() < 0.3 else None
        some = self.random.random
        promoting = [o.tier for o in self.stage.store.unfinished() if o.kind == "promote"]
        stops = some() < 0.5
        tier = self.random.choice(promoting) if promoting and stops else self._tier("mm")
        self.tell(Rollback(tier, version, force=some() < 0.5, abort_running=stops))

    def confirm(self) -> None:
        word = Confirm if self.random.random() < 0.8 else Reject
        self.tell(word(self._tier()))

    def run_gate(self) -> None:
        self.tell(
            RunGate(*self.random.choice((("mm", "cargo_test"), ("a", "boot_smoke"), ("a", "boot_smoke"))))
        )

    def abort(self) -> None:
        unfinished = [o.id for o in self.stage.store.unfinished()]
        self.tell(AbortOperation(self.random.choice([*unfinished, *unfinished, 1])))

    def lock(self) -> None:
        if self.random.random() < 0.5:
            self.tell(UnlockTier(self._tier("all")))
        else:
            ends = self.stage.clock().at + timedelta(seconds=self.random.choice((5, 30)))
            self.tell(LockTier(self._tier("all"), "because", ends if self.random.random() < 0.8 else None))

    def reload(self) -> None:
        base = self.base
        mm, a, b = base.tiers
        self.stage.world.declared = self.random.choice(
            (
                base,
                replace(base, tiers=(mm, a, b, tier("c", 1, SMOKE))),
                replace(base, tiers=(mm, a)),
                replace(base, tiers=(mm, b)),
                replace(base, tiers=(mm, a, replace(b, nodes=nodes("b", 2)))),
                replace(base, tiers=(mm, replace(a, nodes=nodes("a", 3, restart="again")), b)),
                replace(base, tiers=(mm, replace(a, gates=(SMOKE, CONFIRM)), b)),
            )
        )
        self.tell(Reload(force=self.random.random() < 0.6))

    def fetch(self) -> None:
        for job in self.stage.runner.running("backup/"):
            self.stage.runner.say(job.key, Arriving("fetch", self.random.randrange(7), 7))
        self.tell(FetchBackup())

    def time_passes(self) -> None:
        if self.random.random() < 0.6:
            for _ in range(self.random.randint(1, 3)):  # the first may be no more than a round
                self.stage.timer.to_next()
        elif self.random.random() < 0.8:
            self.stage.timer.advance(self.random.choice((0.5, 5.0, 70.0)))
        else:
            self.stage.advance(HANG_S + 2 * ROUND_S)

    def crash(self) -> None:
        asleep = {s.actor for s in self.stage.sleepers}
        actors = [a for a in self.stage.actors if a.name != "root" and a.begun and a not in asleep]
        if self.crashes < CRASHES and actors:
            self.crashes += 1
            actor = self.random.choice(actors)
            self.log[-1] = f"crash of {actor.name}"
            self.stage.crash(actor, instead=self.random.random() < 0.6)

    def hang(self) -> None:
        """In the middle of its next message; it is replaced if it is not woken in time, and woken all the same."""
        actors = [a for a in self.stage.ready() if a.name != "root"]
        if self.crashes < CRASHES and actors:
            actor = self.random.choice(actors)
            message = type(actor.actor_inbox.queue[0].message).__name__
            sleeper = self.stage.sleep(actor, before=self.random.choice((0, 0, 1, 1, 2, 3, 5)))
            hangs = "hangs" if sleeper.asleep else "does not hang"
            self.log[-1] = f"{actor.name} handles {message} and {hangs}"
            if sleeper.asleep:
                self.crashes += 1
                self.asleep.append(sleeper)

    def wake(self) -> None:
        if self.asleep:
            self.log.append("")
            sleeper = self.asleep.pop(self.random.randrange(len(self.asleep)))
            when = "too late" if sleeper.actor.life.over else "in time"
            self.log[-1] = f"{sleeper.actor.name} goes on, {when}"
            sleeper.wake()

    def store_away(self) -> None:
        self.stage.store.reads_too = self.random.random() < 0.4
        self.stage.store.away = self.random.randint(1, 3)

    def bug_after_commit(self) -> None:
        if self.crashes < CRASHES and not self.stage.store.bug_after:
            self.crashes += 1
            self.stage.store.bug_after = self.random.randint(1, 4)

    def shut_down(self) -> None:
        self.stage.shut_down()
        for _ in range(self.random.randint(0, 6)):
            self.some_steps()
            self.end_a_job()
        self.kill()

    def kill(self) -> None:
        self.replies = [(m, r) for m, r in self.replies if r.given is not None]
        self.crashes = 0
        self.asleep = []
        self.stage.restart(reboot=self.random.random() < 0.3)
        self._watch()

    # -- the end -----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more trouble: jobs end well, time passes, until nothing is left to do."""
        stage = self.stage
        stage.store.away = stage.store.bug_after = 0
        while self.asleep and self.random.random() < 0.5:
            self.wake()
        for _ in range(40):
            stage.drain()
            stage.finish_all()
            stage.advance(5.0)
        while self.asleep:
            self.wake()
        stage.advance(65.0)
        stage.finish_all()
        stage.drain()
