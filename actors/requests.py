"""What becomes of a request for a build whose commit is known (SPEC 3). On Build's thread.

It is being built, or is green already and becomes current again, or is accepted: then the latest wins.
"""

import logging
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import Rebuild, Reply, ReturnTo
from sando.model.answers import Accepted, Refusal, unavailable
from sando.model.builds import of_same_push, stopping
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.operation import Operation, Status
from sando.model.record import Fact
from sando.model.release import Release

if TYPE_CHECKING:
    from actors.build import Build

log = logging.getLogger(__name__)

TIP = "tip"
"""The fact that names the tip of the branch that was last accepted."""
RETURNING = "returning"
"""The fact that names the version that the build tier is to return to, until it has."""
RECENT, LATEST = 10, 50
"""Builds among which one is looked for: of a commit that is built again, and of the tip."""


class Requests:
    def __init__(self, build: "Build") -> None:
        self.build = build

    def decide_or_say(self, wish: Rebuild, commit: Any) -> None:
        """A store that is away refuses the request; a moved tip is found again within the minute."""
        try:
            self._decide(wish, commit)
        except StoreUnavailable as error:
            log.error("build: %s cannot be accepted, the store is away: %s", commit.sha[:7], error)
            wish.reply.answer(unavailable())

    def _decide(self, wish: Rebuild, commit: Any) -> None:
        at_tip = wish.sha is None
        if wish.moved and self.build.site.store.fact(TIP) == commit.sha:
            return self._told_before(wish, commit.sha)
        same = self._same(commit.sha)
        if same and not wish.force:
            if at_tip:
                self.build.site.store.save(Fact(TIP, commit.sha))
            return self.build.publish(wish.reply, Accepted(same, 200, "already_building"))
        release = next(
            (r for r in self.build.site.store.releases(sha=commit.sha) if r.green and r.at_hand), None
        )
        if release and not wish.force:
            return self._return_to(wish, release, at_tip=at_tip)
        self._accept(wish, commit, at_tip=at_tip)

    def _told_before(self, wish: Rebuild, sha: str) -> None:
        """A late or repeated word that the branch moved: the answer is what came of it."""
        builds = self.build.site.store.operations(kind="build", limit=LATEST)
        known = next((o for o in builds if o.sha == sha), None)
        if known:
            code = "already_built" if known.status is Status.SUCCEEDED else "already_accepted"
            return self.build.publish(wish.reply, Accepted(known, 200, code))
        self.build.publish(
            wish.reply, Refusal(409, "nothing_new", "the tip is the one that was last accepted")
        )

    def _before(self, sha: str) -> Operation | None:
        """The last build of this commit, if it is not long ago."""
        builds = self.build.site.store.operations(kind="build", limit=RECENT)
        return next((o for o in builds if o.sha == sha), None)

    def _same(self, sha: str) -> Operation | None:
        """The operation that builds this sha, or is about to; one that is being stopped does not count."""
        if self.build.waiting:
            return self.build.waiting if self.build.waiting.sha == sha else None
        flight = self.build.flight
        if flight and flight.kind == "build" and flight.sha == sha and not stopping(flight):
            return flight
        return None

    def _return_to(self, wish: Rebuild, release: Release, *, at_tip: bool) -> None:
        """A force-push back to a green sha: nothing is built, but the latest request still wins."""
        now = self.build.site.clock().at
        told = Event(
            "RebuildRequested", now, release.operation, self.build.tier,
            version=release.version, sha=release.sha, actor=wish.actor, data={"already_built": True, "reason": wish.reason},
        )  # fmt: skip
        flight, *rows = self.build.superseded(release.operation)
        tip = [Fact(TIP, release.sha)] if at_tip else []
        kept = wish.reply.keep(self._returned(release))
        self.build.site.store.save(*rows, *tip, told, Fact(RETURNING, release.version), *kept)
        self.build.flight, self.build.waiting = flight, None
        self.build.stop_flight()
        self.tell_return(release, wish.reply)

    def tell_return(self, release: Release, reply: Reply) -> None:
        post(self.build.parent, ReturnTo(release, reply, self._returned(release), RETURNING))

    def _returned(self, release: Release) -> Accepted:
        operation = self.build.site.store.operation(release.operation)
        if operation is None:
            raise LookupError(f"release {release.version} has no operation")
        return Accepted(operation, 200, "already_built")

    def return_again(self) -> None:
        """What the build tier was told before it died, or sandod did, may be lost."""
        version = self.build.site.store.fact(RETURNING)
        release = self.build.site.store.release(version) if version else None
        if release:
            self.tell_return(release, Reply())

    def _accept(self, wish: Rebuild, commit: Any, *, at_tip: bool) -> None:
        operation = self.build.new("build", wish.actor, wish.reason, commit.sha, None)
        details = {
            "attempts": 1,
            "author": commit.author,
            "subject": commit.subject,
            **({"force": True} if wish.force else of_same_push(self._before(commit.sha))),
        }
        operation = replace(operation, details=details)
        data = {"author": commit.author, "subject": commit.subject, "reason": wish.reason, "tip": at_tip}
        told = Event(
            "RebuildRequested",
            operation.created_at,
            operation.id,
            self.build.tier,
            sha=commit.sha,
            actor=wish.actor,
            data=data,
        )
        rows: list[Any] = [told, Fact(RETURNING, None), *([Fact(TIP, commit.sha)] if at_tip else [])]
        rows += wish.reply.keep(Accepted(operation))
        flight, *others = self.build.superseded(operation.id)
        if flight is None:
            operation = self.build.begin(operation, *rows, *others)
            self.build.waiting = None
        else:
            self.build.site.store.save(*rows, *others, operation)
            self.build.flight, self.build.waiting = flight, operation
            self.build.stop_flight()
        self.build.publish(wish.reply, Accepted(operation))
