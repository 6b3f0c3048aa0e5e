"""Whether a promotion that was vouched for may begin: judged, the release checked, judged again. On the tier's thread."""

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import Admit, JobDone, Plan
from actors.parked import parked
from sando.model.answers import Refusal, bars, draining, first_refusal, unavailable, unseen
from sando.model.errors import StoreUnavailable
from sando.model.policy import Admission, Weighed, Wish, a_good_release, weigh
from sando.model.rollout import NodePlan, Rollout
from sando.model.safety import unsafe
from sando.work.outcome import Done, Failed

if TYPE_CHECKING:
    from actors.deploys import Deploys

log = logging.getLogger(__name__)


LOOK_WAITS_S = 3.0
LOOK_HOLDS_S = 1.0
"""How long a look at all nodes is waited for by whoever asks for what is current, and for how long it is believed."""


class Admissions:
    """One release is checked at a time; what comes meanwhile is `stashed`, in its order."""

    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier
        self.checking: tuple[str, Admit] | None = None
        self.stashed: list[Any] = []
        self.looking: list[Admit | Plan] = []
        """Those for whom it counts what the nodes are really on: they are asked first."""
        self._looked_at = -LOOK_HOLDS_S

    def admit(self, ask: Admit) -> None:
        tier, wish = self.tier, ask.wish
        if tier.draining:
            return tier.publish(wish.reply, draining())
        if self.stash(ask):
            return None
        verdict = self.weigh(ask).verdict
        if self.look_first(ask, verdict):
            return None
        if isinstance(verdict, Refusal):
            return tier.publish(wish.reply, verdict)
        tier.hold(wish.reply)
        self.checking = (tier.new_key(f"tier/{tier.name}/verify/"), ask)
        tier.start_job(self.checking[0], partial(tier.site.work.verify, ask.vouched.version))

    def stash(self, message: Any) -> bool:
        """While a release is checked, whatever depends on whether it is admitted waits; True: so does this."""
        if self.checking is None:
            return False
        self.stashed.append(message)
        self.tier.hold(message.reply)
        return True

    def look_first(self, ask: Admit, verdict: Admission | Refusal) -> bool:
        """A link that was changed by hand since the last look makes a repair of what would be refused, or a larger one."""
        return _is_already_there(verdict) and self.wait_for_look(ask)

    def wait_for_look(self, ask: Admit | Plan) -> bool:
        """False where all nodes have said just now what they are on, or none can."""
        tier = self.tier
        if tier.site.clock().up - self._looked_at < LOOK_HOLDS_S or not tier.observing.look_at_all():
            return False
        tier.hold(ask.reply)
        self.looking.append(ask)
        tier.tick(LOOK_WAITS_S, "looked")
        return True

    def looked(self) -> None:
        """All nodes have said what they are on, or had the time for it."""
        if self.looking:
            self._looked_at = self.tier.site.clock().up
        waiting, self.looking = self.looking, []
        for ask in waiting:
            post(self.tier.actor_ref, ask)

    def weigh(self, ask: Admit) -> Weighed:
        """What stands in the way, and what would be done: for the act and for its plan."""
        tier = self.tier
        release = tier.site.store.release(ask.vouched.version)
        weighed = weigh(
            tier.spec, tier.state, _wish(ask.wish), ask.vouched, release,
            marks={**ask.marks, tier.name: tuple(tier.state.marks.values())},
            busy=self.deploys.holder, lock=ask.lock, frozen_until=ask.frozen_until,
        )  # fmt: skip
        if tier.state.parked:
            return replace(weighed, rulings=(bars("tier", parked(tier.state)), *weighed.rulings))
        return weighed

    def waits_for(self, key: str) -> bool:
        return self.checking is not None and self.checking[0] == key

    def checked(self, done: JobDone) -> None:
        """The release was hashed against its manifest before anything is promised."""
        if self.checking is None:
            return
        key, ask = self.checking
        match done.outcome:
            case Done(None) if not self.tier.draining:
                self._accept_or_say(ask)
            case Done((code, problem)):
                self._no_release(ask, code, problem)
            case Failed(error) if error.lost or error.step == "internal":
                self.tier.publish(ask.wish.reply, unseen(ask.vouched.version, error.detail))
            case Failed(error):
                self._no_release(ask, "release_corrupt", str(error))
            case _:
                self.tier.publish(ask.wish.reply, draining())
        self.checking = None
        self.tier.site.runner.forget(key)
        self.unstash()

    def unstash(self) -> None:
        for message in self.stashed:
            post(self.tier.actor_ref, message)
        self.stashed = []

    def _accept_or_say(self, ask: Admit) -> None:
        """While the release was checked a reload may have changed what there is to be admitted to."""
        try:
            verdict = self.weigh(ask).verdict
            if isinstance(verdict, Refusal):
                self.tier.publish(ask.wish.reply, verdict)
            else:
                self._accept(ask, verdict)
        except StoreUnavailable as error:
            log.error(
                "tier %s: cannot admit %s, the store is away: %s", self.tier.name, ask.vouched.version, error
            )
            ask.wish.reply.answer(unavailable())

    def _no_release(self, ask: Admit, code: str, problem: str) -> None:
        store = self.tier.site.store
        release = store.release(ask.vouched.version)
        if code == "release_missing" and release and release.at_hand:
            store.save(replace(release, lost=True))  # so that a push of its sha builds it again
        ruling = a_good_release(ask.vouched.version, code, problem)
        self.tier.publish(ask.wish.reply, first_refusal([ruling]))

    def _accept(self, ask: Admit, verdict: Admission) -> None:
        tier, wish, spec = self.tier, ask.wish, self.tier.spec
        number, release = tier.site.store.new_operation_id(), tier.site.store.release(verdict.version)
        if release is None:
            raise LookupError(verdict.version)
        repair = verdict.kind == "repair"
        half = tier.state.half
        ran = half is not None and half.version == release.version and half.once_done
        pairs = tier.site.store.safety(release.version)
        rollout = Rollout(
            operation=number, tier=tier.name, mode="repair" if repair else "promote", version=release.version,
            previous=tier.state.current_version, nodes=tuple(NodePlan(n) for n in verdict.nodes),
            canary=spec.canary, hold_s=spec.canary_hold_s, on_failure=spec.on_failure,
            confirm_within_s=spec.confirm_within_s,
            once=spec.once is not None and not repair and not ran, once_ran=ran, unsafe=unsafe(pairs, release.version),
        )  # fmt: skip
        details: dict[str, object] = {
            "kind": rollout.mode,
            "source": ask.vouched.source,
            "source_stay": ask.vouched.stay,
        }
        if wish.hotfix:
            details |= {"hotfix": True, "skipped": ask.vouched.skipped}
        if pairs and not repair:
            details["rollback_safe"] = {old: safe for (_, old), safe in pairs.items()}
        details |= {k: True for k in ("reset_burn_in", "force", "override_freeze") if getattr(wish, k)}
        operation = self.deploys.new(
            number, "promote", release.version, release.sha, wish.actor, wish.reason, details
        )
        told: list[Any] = [tier.event("DeployStart", operation, data=self.deploys.about(rollout, operation))]
        if not release.at_hand:  # its folder was put back
            told.append(replace(release, present=True, lost=False))
        if wish.hotfix:
            told.append(
                tier.event(
                    "HotfixUsed", operation, data={"skipped": ask.vouched.skipped, "reason": wish.reason}
                )
            )
        self.deploys.launch(operation, rollout, wish.reply, *told)

    def drain(self) -> None:
        """Whoever waits for a promotion to end will not see it."""
        waiting, self.stashed = self.stashed, []
        for message in waiting:
            self.tier.publish(message.reply, draining())
        asking, self.looking = self.looking, []
        for ask in asking:
            self.tier.publish(ask.reply, draining())


def _is_already_there(verdict: Admission | Refusal) -> bool:
    """As far as is known, some or all nodes are on it."""
    if isinstance(verdict, Refusal):
        return verdict.code == "already_current"
    return verdict.kind == "repair"


def _wish(message: Any) -> Wish:
    return Wish(
        message.tier, message.version, message.hotfix, message.reset_burn_in, message.force, message.override_freeze,
        message.actor, message.reason,
    )  # fmt: skip
