"""A node that is left alone right after its switch: it goes back by itself, and what sando does about that (SPEC 6).

The switch is armed with the link, confirmed once the probe is green, and taken over before sando itself goes back or
says anything of a node after a crash. Node and sando rename one file; whoever comes first has it.
"""

import time

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.work.hosts.base import Claim, DeadMan, release_path
from sando.work.post import Post

_TURN_S = 0.2
_BACK_OFF_S = (0.5, 1.5, 4.0)


def dead_man_of(post: Post) -> DeadMan | None:
    """What the node is to do by itself, where the tier has `confirm_within`."""
    task = post.task
    if task.confirm_within_s is None:
        return None
    env = {}
    if task.former is not None:
        env = {**post.env(task.former, task.version), "SANDO_RELEASE": release_path(post.host, task.former)}
    post.say(
        f"goes back to {task.former or 'nothing'} by itself unless confirmed within {span(task.confirm_within_s)}"
    )
    return DeadMan(task.confirm_within_s, task.former, task.restart, env)


def confirm(post: Post) -> None:
    """The release runs: the node stays on it. WorkError when the node had gone back already."""
    task = post.task
    if task.confirm_within_s is None:
        return
    try:
        claim = _settled(post)
    except WorkError as error:
        raise _unreachable(post, error) from error
    if claim == "fired":
        raise WorkError(
            "confirm",
            f"the node went back to {task.former or 'nothing'} by itself: it was not confirmed within "
            f"{span(task.confirm_within_s)}; raise confirm_within where restart and probe take longer",
        )
    post.say("confirmed: the node stays on it")


def take_over(post: Post) -> None:
    """From here on the node does nothing by itself; what it has begun is waited for."""
    if post.task.confirm_within_s is not None and _settled(post) == "fired":
        post.say(f"the node has gone back to {post.task.former or 'nothing'} by itself")


def reach(post: Post) -> None:
    """Before a way back: a node that cannot be reached is tried again, and with a dead-man switch, until that is over.

    WorkError says what is known of it.
    """
    task = post.task
    begun, said = time.monotonic(), ""
    pauses = iter(_BACK_OFF_S)
    while True:
        try:
            post.host.read_current()
        except WorkError as error:
            armed = task.confirm_within_s is not None and task.step.value == "revert"
            over = begun + (task.confirm_within_s or 0.0) + _BACK_OFF_S[-1]
            pause = next(pauses, _BACK_OFF_S[-1] if armed and time.monotonic() < over else None)
            if pause is None or not error.errored:
                raise _unreachable(post, error) from error
            if error.detail != said:
                post.say(f"cannot be reached, trying again: {error.detail}")
            said = error.detail
            post.cancel.wait(pause)
            post.cancel.check()
        else:
            return


def _unreachable(post: Post, error: WorkError) -> WorkError:
    task = post.task
    known = "what it runs stays as it is until it can be reached"
    if task.confirm_within_s is not None:
        known = (
            f"it goes back to {task.former or 'nothing'} by itself within {span(task.confirm_within_s)} of its switch, "
            "unless a confirmation has reached it"
        )
    return WorkError("connect", f"{error.detail}; {known}", errored=True)


def _settled(post: Post) -> Claim:
    """Who has it; a way back that the node has begun is waited for."""
    until = time.monotonic() + post.task.timeout_s
    while (claim := post.host.claim(post.task.operation)) == "firing" and time.monotonic() < until:
        post.cancel.wait(_TURN_S)
        post.cancel.check()
    return "fired" if claim == "firing" else claim
