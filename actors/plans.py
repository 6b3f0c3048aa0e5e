"""What an act would do and answer, without doing it: weighed as the act is, with one look outside. On the tier's thread."""

import logging
from functools import partial
from typing import TYPE_CHECKING

from actors.messages import Admit, JobDone, Plan, Rollback
from sando.model.answers import Check, Told, draining, unavailable, unseen
from sando.model.backup import freshness
from sando.model.errors import StoreUnavailable
from sando.model.forecast import Forecast, of_promotion, of_rollback
from sando.model.policy import WayBack
from sando.model.release import Release
from sando.model.safety import arrivals
from sando.model.stay import Stay
from sando.model.survey import Journey, Survey
from sando.work.outcome import Done, Failed

if TYPE_CHECKING:
    from actors.deploys import Deploys

log = logging.getLogger(__name__)


class Plans:
    """`surveys` are those who ask, by the key of the job that looks at release, commits and migrations for them."""

    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier
        self.surveys: dict[str, Admit | Plan] = {}

    # -- as the act begins ---------------------------------------------------------------------------------------

    def promotion(self, ask: Admit) -> None:
        admissions = self.deploys.admissions
        if self.tier.draining:
            return self.tier.publish(ask.reply, draining())
        if admissions.stash(ask):
            return None
        weighed = admissions.weigh(ask)
        if not admissions.look_first(ask, weighed.verdict):
            self._survey(ask, self.tier.site.store.release(weighed.admission.version))

    def rollback(self, ask: Plan) -> None:
        if self.tier.draining:
            return self.tier.publish(ask.reply, draining())
        if self.deploys.holder is None and self.deploys.admissions.stash(ask):
            return None
        if self._needs_look(ask) and self.deploys.admissions.wait_for_look(ask):
            return None
        plan = self._way(ask).plan
        self._survey(ask, plan.stay if plan else None)

    def _needs_look(self, ask: Plan) -> bool:
        """A tier that is not whole does not step back, and the act's preflight finds out (SPEC 7)."""
        return self.deploys.holder is None and ask.wish.version is None and not self.tier.is_build_tier

    def _way(self, ask: Plan) -> WayBack:
        if not isinstance(ask.wish, Rollback):
            raise TypeError(ask.wish)
        return self.deploys.rollbacks.weigh(ask.wish)

    # -- the look outside ----------------------------------------------------------------------------------------

    def waits_for(self, key: str) -> bool:
        return key in self.surveys

    def _survey(self, ask: Admit | Plan, to: Release | Stay | None) -> None:
        tier, now = self.tier, self.tier.state.current
        if to is None:
            return self._say(ask, Survey())
        gate = tier.topology.rehearsal()
        base = {"old": now.version, "old_sha": now.sha} if now else {}
        journey = Journey(to.version, to.sha, **base, folder=gate.dir if gate else "migrations")
        tier.hold(ask.reply)
        key = tier.new_key(f"tier/{tier.name}/plan/")
        self.surveys[key] = ask
        tier.start_job(key, partial(tier.site.work.survey, tier.topology.repo, journey))

    def surveyed(self, done: JobDone) -> None:
        ask = self.surveys.pop(done.key)
        self.tier.site.runner.forget(done.key)
        match done.outcome:
            case _ if self.tier.draining:
                self.tier.publish(ask.reply, draining())
            case Done(Survey() as survey):
                self._say_or_not(ask, survey)
            case Failed(error) if isinstance(ask, Admit) and (error.lost or error.step == "internal"):
                self.tier.publish(ask.reply, unseen(ask.vouched.version, error.detail))
            case Failed(error):
                log.warning("tier %s: a plan could not look at the release: %s", self.tier.name, error)
                self._say_or_not(ask, Survey(("release_corrupt", str(error))))
            case _:
                self.tier.publish(ask.reply, draining())

    # -- the answer ----------------------------------------------------------------------------------------------

    def _say_or_not(self, ask: Admit | Plan, survey: Survey) -> None:
        try:
            self._say(ask, survey)
        except StoreUnavailable as error:
            log.error("tier %s: no plan, the store is away: %s", self.tier.name, error)
            ask.reply.answer(unavailable())

    def _say(self, ask: Admit | Plan, survey: Survey) -> None:
        """Weighed anew: what the look took time for may have changed something."""
        told = self._promotion(ask, survey) if isinstance(ask, Admit) else self._rollback(ask, survey)
        self.tier.publish(ask.reply, Told(told))

    def _promotion(self, ask: Admit, survey: Survey) -> Forecast:
        tier, store = self.tier, self.tier.site.store
        weighed = self.deploys.admissions.weigh(ask)
        version = weighed.admission.version
        release = store.release(version)
        return of_promotion(
            tier.topology, tier.spec, tier.state, weighed, ask.vouched.source, release and release.sha,
            store.safety(*{version, *arrivals(tier.state)}), survey, self.deploys.holder, self._backup(),
        )  # fmt: skip

    def _backup(self) -> Check | None:
        """How fresh the backup is, where migrations are rehearsed on one."""
        topology = self.tier.topology
        if topology.rehearsal() is None:
            return None
        return freshness(topology.backup, self.tier.site.store.backup(), self.tier.site.clock())

    def _rollback(self, ask: Plan, survey: Survey) -> Forecast:
        tier = self.tier
        return of_rollback(
            tier.topology,
            tier.spec,
            tier.state,
            self._way(ask),
            ask.wish.version,
            survey,
            self.deploys.holder,
        )
