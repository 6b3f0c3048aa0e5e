"""Requests for builds, resolved to commits one after the other, in the order in which they came. On Build's thread."""

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from actors.messages import Rebuild
from sando.model.answers import Refusal, draining
from sando.model.errors import WorkError
from sando.work.outcome import Done, Failed, Outcome

if TYPE_CHECKING:
    from actors.build import Build

log = logging.getLogger(__name__)

TIP_S = 60.0
"""How often a tip that nobody told of is looked for."""


class Lookups:
    """`asked` wait, the first of them is being looked up by the job `looking`."""

    def __init__(self, build: "Build") -> None:
        self.build = build
        self.asked: deque[Rebuild] = deque()
        self.looking = ""

    def watch(self) -> None:
        self.look_at_tip()
        self.build.tick(TIP_S, "tip")

    def look_at_tip(self) -> None:
        """A push that nobody told of is no different from one that the hook told of."""
        self.take(Rebuild(moved=True, actor="git", reason="the branch moved"), quiet=True)

    def take(self, wish: Rebuild, *, quiet: bool = False) -> None:
        if self.build.draining:
            return self.build.publish(wish.reply, draining())
        if quiet and self.asked:
            return None
        self.build.hold(wish.reply)
        self.asked.append(wish)
        self._look_up()

    def _look_up(self) -> None:
        if self.asked and not self.looking:
            self.looking = self.build.new_key("build/lookup/")
            self.build.start_job(
                self.looking,
                partial(self.build.site.work.resolve, self.build.topology.repo, self.asked[0].sha),
            )

    def found(self, outcome: Outcome) -> None:
        wish = self.asked[0]
        match outcome:
            case _ if self.build.draining:
                self.build.publish(wish.reply, draining())
            case Done(None):
                self._unknown(wish)
            case Done(commit):
                self.build.requests.decide_or_say(wish, commit)
            case Failed(error):
                self._no_repository(wish, error)
            case _:
                self.build.publish(wish.reply, draining())
        self.build.site.runner.forget(self.looking)
        self.looking = ""
        self.asked.popleft()
        self._look_up()

    def _unknown(self, wish: Rebuild) -> None:
        branch = self.build.topology.repo.branch
        if wish.sha is None:
            hint = f"git push {self.build.topology.repo.bare_path} {branch}"
            refusal = Refusal(409, "empty_repository", f"branch {branch} has no commit yet", hint)
        else:
            hint = f"push it first; GET /releases lists what was built of {branch}"
            refusal = Refusal(404, "unknown_sha", f"no commit of the repository is called {wish.sha}", hint)
        self.build.publish(wish.reply, refusal)

    def _no_repository(self, wish: Rebuild, error: WorkError) -> None:
        log.error("build: the repository cannot be read: %s", error)
        self.build.publish(
            wish.reply, Refusal(409, "repository_unusable", str(error), "mend it, then POST /rebuild")
        )

    def drain(self) -> None:
        for wish in self.asked:
            wish.reply.answer(draining())
