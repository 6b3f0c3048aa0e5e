"""What a tier says of its versions, and what people say of them: vouching, a yes or no, a return. On the tier's thread."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.base import post
from actors.messages import Admit, Confirm, Reject, ReturnTo, Vouch, VouchAgain, VouchedAgain
from sando.model import wire
from sando.model.answers import Refusal, Told, bars, first_refusal
from sando.model.clock import stamp
from sando.model.events import Event
from sando.model.forecast import bare
from sando.model.gates import Approval
from sando.model.judge import approved
from sando.model.policy import confirmable, vouch
from sando.model.record import Fact
from sando.model.stay import Stay

if TYPE_CHECKING:
    from actors.tier import Tier


class Words:
    def __init__(self, tier: "Tier") -> None:
        self.tier = tier

    def vouch(self, ask: Vouch) -> None:
        wish = ask.wish
        release = self.tier.site.store.release(wish.version) if wish.version else None
        word = vouch(
            self.tier.spec, self.tier.state, wish.version, release, self.tier.site.clock(), hotfix=wish.hotfix,
            built=self.tier.is_build_tier,
        )  # fmt: skip
        if isinstance(word, Refusal):
            barred = bars("version", word)
            plan = Told(bare("promote", wish.tier, barred)) if ask.dry else None
            return self.tier.publish(wish.reply, plan or first_refusal([barred]))
        post(ask.target, Admit(wish, word, ask.marks, ask.lock, ask.frozen_until, ask.dry))

    def vouch_again(self, ask: VouchAgain) -> None:
        release = self.tier.site.store.release(ask.version)
        word = vouch(
            self.tier.spec, self.tier.state, ask.version, release, self.tier.site.clock(), hotfix=ask.hotfix
        )
        refusal = word if isinstance(word, Refusal) else word.refusal
        told = ask.refusal or (refusal.detail if refusal else None)
        post(ask.target, VouchedAgain(ask.operation, told))

    def word(self, word: Confirm | Reject) -> None:
        gate = confirmable(self.tier.spec, self.tier.state, word.version, built=self.tier.is_build_tier)
        if isinstance(gate, Refusal):
            busy = self.tier.deploys.holder
            hint = busy and f"{busy.kind} {busy.id} of {busy.version} runs there: try again when it has ended"
            return self.tier.publish(word.reply, replace(gate, hint=hint or gate.hint, operation=busy))
        stay, now = self._current(), self.tier.site.clock().at
        yes = isinstance(word, Confirm)
        approval = Approval(gate.name, word.actor, word.reason, now, yes=yes)
        told = Event(
            "ManualConfirm" if yes else "Rejected", now, tier=self.tier.name, version=stay.version, sha=stay.sha,
            actor=word.actor, data={"gate": gate.name, "reason": word.reason},
        )  # fmt: skip
        stay = stay.approve(approval)
        outcome, message = approved(gate, stay)
        said = wire.Confirmation(
            self.tier.name, stay.version, gate.name, outcome, word.actor, word.reason, stamp(now), message
        )  # fmt: skip
        self.tier.become(self.tier.state.update(stay), told, *word.reply.keep(Told(said)))
        self.tier.publish(word.reply, Told(said))

    def _current(self) -> Stay:
        current = self.tier.state.current
        if current is None:
            raise LookupError(f"tier {self.tier.name} is empty")
        return current

    def return_to(self, back: ReturnTo) -> None:
        """The build tier only: a green sha was pushed again, its version is current with the gates it had."""
        if self.tier.site.store.fact(back.fact) == back.release.version:
            state, done = self.tier.state, Fact(back.fact, None)
            if state.current_version != back.release.version:
                last, now = state.judged(back.release.version), self.tier.site.clock()
                gates = tuple(g for g in last.gates if g.kind != "burn_in") if last else ()
                state = state.enter(back.release, back.release.operation, now, gates)
            self.tier.become(state, done)
            self.tier.gates.burning.schedule()
        self.tier.publish(back.reply, back.answer)
