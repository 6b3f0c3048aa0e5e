"""At random moments of a storm the plan is asked for, then at once the act: both must say the same (issue 5)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from actors.base import RESTARTS
from actors.messages import Plan, Promote, Reload, Rollback
from sando.model.answers import Accepted, Answer, Refusal, Told
from sando.model.errors import WorkError
from sando.model.operation import Status
from sando.model.topology import FreezeSpec
from sando.work.outcome import Failed
from tests.actors.storm import Storm
from tests.factories import nodes
from tests.harness import as_read

QUESTIONS = 10
MOST_ACTS = 6
LOOKS = ("/plan/", "/verify/", "/look/")
"""Jobs that an answer may wait for, its own first; a look itself waits for what its node does."""
TIERS = (*"a" * 6, *"b" * 10, "mm", "mm", "x")
UNTIL_NOON = 12 * 60 + 1

Wish = Promote | Rollback


class Questioning(Storm):
    """A storm that is asked `QUESTIONS` times; `said` counts what the answers were."""

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path, seed)
        self.said: Counter[str] = Counter()
        more: list[tuple[int, Callable[[], None]]] = [
            (20, self.all_well), (8, self.promote), (6, self.reload_now), (10, self.trouble), (10, self.push),
            (4, self.lock), (4, self.hand), (4, self.spoil), (1, self.park), (1, self.stop),
        ]  # fmt: skip
        self.acts += more

    def run(self, acts: int = QUESTIONS) -> None:
        kinds, weights = [a for _, a in self.acts], [w for w, _ in self.acts]
        for _ in range(acts):
            for act in self.random.choices(kinds, weights, k=self.random.randint(0, MOST_ACTS)):
                self.log.append(act.__name__)
                act()
            self.question()

    def trouble(self) -> None:
        """A step on a node fails in the middle of a deploy."""
        ends = ("/switch", "/start", "/revert")
        jobs = [j for j in self.stage.runner.running("node/") if j.key.endswith(ends)]
        if jobs:
            job = self.random.choice(jobs)
            self.log[-1] = f"{job.key} fails"
            self.stage.runner.finish(job, Failed(WorkError("perform", "said no")))
            self.stage.drain()

    def hand(self) -> None:
        """Somebody changes a link by hand, and it is looked at."""
        name = self.random.choice(("a-1", "b-1", "b-2"))
        self.stage.world.node(name[0], name).current = self.random.choice((None, "1.0", "1.1", "2.0"))
        self.stage.advance(180.0)

    def spoil(self) -> None:
        """A release in the store is not what was built; another one is mended."""
        wrong = self.stage.world.wrong
        wrong.clear()
        for release in self.stage.store.releases():
            if self.random.random() < 0.4:
                code = self.random.choice(("release_missing", "release_corrupt"))
                wrong[release.version] = (code, "it is spoilt")

    def park(self) -> None:
        """A tier dies so often that it is not restarted any more."""
        name = self.random.choice("ab")
        for _ in range(RESTARTS + 1):
            self.stage.drain()
            tier = next((a for a in self.stage.actors if a.name == name), None)
            if tier is not None:
                self.stage.crash(tier)

    def stop(self) -> None:
        """SIGTERM, and somebody still asks."""
        self.stage.shut_down()
        self.question()
        self.kill()

    def reload_now(self) -> None:
        """A file that freezes a tier, or leaves every node of one out; and back."""
        mm, a, b = self.base.tiers
        freeze = FreezeSpec(tiers=("b",), days=(), end_min=self.random.choice((UNTIL_NOON, 1440)))
        out = replace(b, nodes=nodes("b", 2, out=True))
        self.stage.world.declared = self.random.choice(
            (
                self.base,
                replace(self.base, freezes=(freeze,)),
                replace(self.base, tiers=(mm, a, out)),
                replace(self.base, tiers=(mm, replace(a, provisioned=False), b)),
            )
        )
        self.tell(Reload(force=True))
        self.stage.drain()
        for job in self.stage.runner.running("reload/"):
            self.stage.runner.finish(job)

    # -- the question --------------------------------------------------------------------------------------------

    def question(self) -> None:
        stage = self.stage
        stage.store.away = stage.store.bug_after = 0
        while self.asleep:  # who hangs answers nothing
            self.wake()
        stage.drain()
        if not all(actor.begun for actor in stage.actors):  # it tries to read its state once a second
            stage.advance(1.5)
        make = self._promotion() if self.random.random() < 0.6 else self._rollback()
        self.log.append(f"question: {make()!r}"[:200])
        plan = self._answer(Plan(make()), make().tier)
        act = self._answer(make(), make().tier)
        self.log.append(f"plan: {plan!r}\n   act: {act!r}")
        self.said[check(plan, act)] += 1

    def _promotion(self) -> Callable[[], Wish]:
        some = self.random.random
        tier, version, hotfix = self.random.choice(TIERS), self._version(), some() < 0.7
        asked: dict[str, Any] = {
            "hotfix": hotfix, "reset_burn_in": some() < (0.3 if hotfix else 0.03), "force": some() < 0.3,
            "override_freeze": some() < 0.4, "reason": "because" if some() < 0.7 else "",
        }  # fmt: skip
        return lambda: Promote(tier, version, **asked)

    def _rollback(self) -> Callable[[], Wish]:
        some = self.random.random
        tier, version = self.random.choice(TIERS), self._version() if some() < 0.4 else None
        force, over = some() < 0.3, some() < 0.5
        return lambda: Rollback(tier, version, force=force, abort_running=over)

    def _answer(self, message: Any, tier: str) -> Answer:
        """Handled as far as the answer needs it: looks and checks of the tier end well, all else stays as it is."""
        stage, waited = self.stage, False
        reply = stage.tell(message)
        while reply.given is None:
            stage.drain()
            mine = [j for j in stage.runner.running() if j.key.split("/")[1] == tier]
            looks = [j for part in LOOKS for j in mine if part in j.key]
            if reply.given is None and not mine and not waited:
                stage.advance(1.5)  # an end that the store would not take is tried again after a second
                waited = True
            elif reply.given is None:
                assert mine, f"no answer to {message}"
                stage.runner.finish((looks or mine)[0])
        stage.drain()
        return reply.given


def check(plan: Answer, act: Answer) -> str:
    """What both say, in a word."""
    if not isinstance(plan, Told):
        assert isinstance(plan, Refusal)
        assert isinstance(act, Refusal), act
        assert (plan.status, plan.code, plan.detail) == (act.status, act.code, act.detail)
        return plan.code
    said = as_read(plan)
    if isinstance(act, Refusal):
        assert not said["ready"]
        assert (said["status"], said["code"], said["detail"]) == (act.status, act.code, act.detail)
        assert blocked(said, act) == [c.check for c in act.blocking]
        assert act.blocking, "a refusal names what blocks"
        return act.code
    assert isinstance(act, Accepted)
    assert said["ready"], f"{said['code']} was planned, and it was accepted"
    assert (said["status"], said["code"]) == (act.status, act.code)
    assert not blocked(said, None)
    if act.code == "aborting":
        waits = act.operation
        assert said["operation"] == waits.details["after"]
        assert (waits.version, waits.sha, waits.status) == (said["to"], said["sha"], Status.QUEUED)
    else:
        does_what_was_planned(said, act)
    return f"{said['kind']} is {act.code or 'accepted'}"


def blocked(said: dict[str, Any], act: Refusal | None) -> list[str]:
    """The act hashes the release last, so that it does not name it beside what had barred it before."""
    names = [c["check"] for c in said["checks"] if c["verdict"] == "blocked"]
    late = act is not None and "release" in names and "release" not in {c.check for c in act.blocking}
    return [n for n in names if not (late and n == "release")]


def does_what_was_planned(said: dict[str, Any], act: Accepted) -> None:
    operation = act.operation
    assert (operation.version, operation.sha) == (said["to"], said["sha"])
    switched = {n["name"] for n in said["nodes"] if n["does"] == "switch"}
    assert {n.name for n in operation.nodes} == switched
    if said["act"] == "promote":
        assert (operation.details["kind"], operation.details["source"]) == (said["kind"], said["source"])
    else:
        assert (operation.details["whole"], operation.details["marks"]) == (said["whole"], said["marks_bad"])
