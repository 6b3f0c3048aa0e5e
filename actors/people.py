"""What a person asks of the build lane: one gate of its tier once more, or that something stops. On Build's thread."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.base import post
from actors.messages import AbortOperation, GateAgain, RunGate
from sando.model.answers import Accepted, Refusal, draining
from sando.model.operation import Status

if TYPE_CHECKING:
    from actors.build import Build


class People:
    def __init__(self, build: "Build") -> None:
        self.build = build

    def gate_again(self, wish: RunGate) -> None:
        if self.build.draining:
            return self.build.publish(wish.reply, draining())
        if holder := self.build.flight or self.build.waiting:
            detail = f"operation {holder.id} ({holder.kind} of {(holder.sha or '')[:7]}) has the build slot"
            hint = f"wait for /operations/{holder.id}, or abort it"
            return self.build.publish(wish.reply, Refusal(409, "build_running", detail, hint, holder))
        current = self.build.site.store.tier(self.build.tier, recent=1).current
        if current is None:
            return self.build.publish(
                wish.reply,
                Refusal(409, "tier_empty", f"nothing is on tier {self.build.tier} yet", "push a commit"),
            )
        now = self.build.site.clock().at
        operation = self.build.new("gate", wish.actor, wish.reason, current.sha, current.version)
        operation = replace(
            operation, status=Status.RUNNING, started_at=now, step="gates", details={"gate": wish.gate}
        )
        self.build.site.store.save(operation, *wish.reply.keep(Accepted(operation)))
        self.build.flight = operation
        post(self.build.parent, GateAgain(operation, wish.gate))
        self.build.publish(wish.reply, Accepted(operation))

    def abort(self, wish: AbortOperation) -> None:
        now = self.build.site.clock().at
        if self.build.waiting and self.build.waiting.id == wish.operation:
            ended = replace(
                self.build.waiting, status=Status.ABORTED, error=f"aborted by {wish.actor}", finished_at=now
            )
            self.build.site.store.save(ended, *wish.reply.keep(Accepted(ended)))
            self.build.waiting = None
            return self.build.publish(wish.reply, Accepted(ended))
        flight = self.build.flight
        if flight is None or flight.id != wish.operation:
            detail = f"operation {wish.operation} has ended"
            return self.build.publish(
                wish.reply, Refusal(409, "not_running", detail, f"GET /operations/{wish.operation} tells how")
            )
        flight = replace(flight, details={**flight.details, "abort": wish.actor, "abort_reason": wish.reason})
        self.build.site.store.save(flight, *wish.reply.keep(Accepted(flight)))
        self.build.flight = flight
        self.build.stop_flight()
        self.build.publish(wish.reply, Accepted(flight))
