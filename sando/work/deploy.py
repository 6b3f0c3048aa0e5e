"""The steps of a deploy on one node, each a plain function; what comes next, and when to go back, is decided elsewhere."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sando.failpoints import reached
from sando.model.errors import WorkError
from sando.model.release import MANIFEST, FileEntry
from sando.model.task import NodeFacts, NodeTask, Step
from sando.model.topology import Command
from sando.work.cancel import CancelToken
from sando.work.dead_man import confirm, dead_man_of, reach, take_over
from sando.work.digest import listed
from sando.work.hosts.base import (
    CURRENT,
    MARGIN,
    RELEASES,
    Current,
    DeadMan,
    Host,
    refuse_foreign,
    refuse_in_use,
)
from sando.work.log import OpLog
from sando.work.node_gate import run_gate
from sando.work.post import PROBE_S, Post, judged
from sando.work.probe import LOOK_S, address_of
from sando.work.process import Keepers


def perform(task: NodeTask, host: Host, keepers: Keepers, cancel: CancelToken) -> NodeFacts:
    """Do `task.step` on the node. WorkError carries the step and the last lines of output; Cancelled is let through."""
    post = Post(task, host, keepers, cancel, OpLog(task.log))
    try:
        reached(f"node.{task.step}")
        facts = _STEPS[task.step](post)
        reached(f"node.{task.step}.done")
    except WorkError as error:
        lost = error.step in {"connect", "connection"}
        way_out = _LEAVE_OUT if task.step is Step.PREFLIGHT and lost else ""
        failure = WorkError(
            task.step.value, error.detail + way_out, errored=error.errored, tail=error.tail, lost=lost
        )
    except OSError as error:
        failure = WorkError(task.step.value, f"{error}", errored=True)
    else:
        return facts
    post.say(f"{task.step.value} {'could not run' if failure.errored else 'failed'}: {failure.detail}")
    raise failure


_LEAVE_OUT = "; to go on without this node, set out = true on it and POST /reload"


def _preflight(post: Post) -> NodeFacts:
    task, host = post.task, post.host
    files = _in_store(task)
    current, wrong = host.survey(task.version, Path(task.store, task.version), files, hurry=task.back)
    _refuse_foreign(post, current)
    if wrong and current.version == task.version and not current.dangling:
        raise refuse_in_use(task.version, wrong)
    if wrong and files is None:
        raise _cannot(f"release {task.version} is not in the store ({task.store}), and on the node: {wrong}")
    odd = ""
    if wrong:
        size = sum(f.size for f in files or ())
        odd = host.prepare(need=2 * size + MARGIN, files=2 * len(files or ()) + 64)
    if where := task.probe and address_of(task.probe):
        host.check_forwarding(*where)
    detail = "; ".join(filter(None, [_strange(current), odd]))
    post.say(
        f"preflight ok, current is {current.version or current.foreign or 'not there'}{detail and '; ' + detail}"
    )
    return NodeFacts(current=current.version, has_release=not wrong, detail=detail)


def _upload(post: Post) -> NodeFacts:
    _bring(post, post.task.version, _in_store(post.task))
    return NodeFacts(has_release=True)


def _once(post: Post) -> NodeFacts:
    task = post.task
    if task.once is not None:
        post.command("once", task.once, task.version, task.previous)
    return NodeFacts(current=post.host.read_current().version, has_release=True, once_done=True)


def _switch(post: Post) -> NodeFacts:
    task = post.task
    if task.before_switch is not None:
        _refuse_foreign(post, post.host.read_current())
        post.command("before_switch", task.before_switch, task.version, task.previous)
    post.cancel.check()
    dead_man = dead_man_of(post)
    if (
        task.restart is None
        and dead_man is None
        and task.probe is not None
        and task.probe.command is not None
    ):
        return _point_and_look(post, task.probe.command)
    said = _point(post, task.version, dead_man)
    return NodeFacts(current=task.version, has_release=True, detail=said)


def _point_and_look(post: Post, probe: Command) -> NodeFacts:
    """Where nothing comes between the link and the probe, the first look goes with the link; red says nothing yet."""
    task = post.task
    kept, looked = post.host.switch_and_run(
        task.version, task.operation, force=task.force,
        command=probe, env=post.env(task.version, task.previous), timeout=LOOK_S,
    )  # fmt: skip
    kept = _say_switched(post, task.version, kept)
    green, said = judged(probe, *looked) if looked else (False, "")
    if not green:
        return NodeFacts(current=task.version, has_release=True, detail=kept)
    post.say(f"probe green: {said}")
    return NodeFacts(current=task.version, has_release=True, green=True, detail=kept or said)


def _start(post: Post) -> NodeFacts:
    task = post.task
    green, said = _bring_up(post, task.version, task.previous)
    confirm(post)
    return NodeFacts(current=task.version, has_release=True, green=green, detail=said)


def _hold(post: Post) -> NodeFacts:
    task = post.task
    if task.probe is None:
        post.cancel.wait(task.hold_s)
        post.cancel.check()
        return NodeFacts(current=post.host.read_current().version, has_release=True)
    said = post.hold(task.probe, task.version, task.hold_s)
    return NodeFacts(current=post.host.read_current().version, has_release=True, green=True, detail=said)


def _revert(post: Post) -> NodeFacts:
    task, host = post.task, post.host
    reach(post)
    take_over(post)
    if task.former is None:
        back = host.unlink(task.operation)
        post.say(f"removed {CURRENT}: this node had none" if back is None else f"put {CURRENT} back: {back}")
        return NodeFacts(detail=f"{CURRENT} is {back} again" if back else "")
    if task.former not in host.releases():
        _bring(post, task.former, _in_store(task, task.former))
    _point(post, task.former)
    try:
        green, said = _bring_up(post, task.former, task.version)
    except WorkError as error:
        detail = f"{CURRENT} is back on {task.former}, but there {error.detail}"
        raise WorkError("revert", detail, errored=error.errored, tail=error.tail) from error
    return NodeFacts(current=task.former, has_release=True, green=green, detail=said)


def _observe(post: Post) -> NodeFacts:
    if post.task.settles:
        reach(post)
        take_over(post)
    if post.task.operation:
        post.host.sweep()
    current = post.host.read_current()
    return NodeFacts(current=current.version, dangling=current.dangling, detail=_strange(current))


def _probe(post: Post) -> NodeFacts:
    task = post.task
    current = post.host.read_current()
    if task.probe is None:
        return NodeFacts(current=current.version)
    green, said = post.look(task.probe, current.version or task.version)
    return NodeFacts(current=current.version, green=green, detail=said)


def _gate(post: Post) -> NodeFacts:
    current = post.host.read_current()
    green, said = run_gate(post)
    return NodeFacts(current=current.version, has_release=True, green=green, detail=said)


def _prune(post: Post) -> NodeFacts:
    task, host = post.task, post.host
    current = host.read_current()
    if current.foreign:
        return NodeFacts(detail=f"nothing removed: {_strange(current)}")
    removed, kept = [], []
    for version in host.releases():
        if version in task.keep or version == current.version:
            continue
        post.cancel.check()
        try:
            host.remove(version, task.operation)
            removed.append(version)
        except WorkError as error:
            kept.append(error.detail)
    if removed:
        post.say(f"removed {', '.join(removed)}")
    return NodeFacts(current=current.version, removed=tuple(removed), detail="; ".join(kept))


def _in_store(task: NodeTask, version: str | None = None) -> tuple[FileEntry, ...] | None:
    """The file list of a release in the controller's store; None when it is not there."""
    folder = Path(task.store, version or task.version)
    return listed(folder) if (folder / MANIFEST).exists() else None


def _bring(post: Post, version: str, files: Sequence[FileEntry] | None) -> None:
    """Upload one release, verified on the node."""
    task = post.task
    if files is None:
        raise _cannot(f"release {version} is neither on the node nor in the store ({task.store})")
    size = sum(f.size for f in files)
    post.say(f"upload {version}: {len(files)} file{'' if len(files) == 1 else 's'}, {size} bytes")
    sent = post.host.put_release(version, Path(task.store, version), files, task.operation, post.cancel)
    post.say(f"uploaded {version}, sha256 verified" if sent else f"{version} is there already, and right")


def _point(post: Post, version: str, dead_man: DeadMan | None = None) -> str:
    """Switch the link; the answer tells of a foreign one that was put aside."""
    task = post.task
    kept = post.host.switch(version, task.operation, force=task.force, dead_man=dead_man)
    return _say_switched(post, version, kept)


def _say_switched(post: Post, version: str, kept: str | None) -> str:
    post.say(f"switched {CURRENT} -> {RELEASES}/{version}")
    if kept is None:
        return ""
    post.say(f"what {CURRENT} was before is kept as {kept}")
    return f"what {CURRENT} was before is kept as {kept}"


def _bring_up(post: Post, version: str, previous: str | None) -> tuple[bool | None, str]:
    """Restart, then wait for green; None where the node has no probe."""
    task = post.task
    said = post.command("restart", task.restart, version, previous) if task.restart is not None else ""
    if task.probe is None:
        return None, ""
    return True, post.until_green(task.probe, version, min(PROBE_S, task.timeout_s), said)


def _refuse_foreign(post: Post, current: Current) -> None:
    if current.foreign and not post.task.force:
        raise refuse_foreign(post.host.root, current.foreign)


def _strange(current: Current) -> str:
    if current.foreign:
        return f"{CURRENT} is {current.foreign}, no link into {RELEASES}/"
    return f"{CURRENT} names {current.version}, whose folder is not there" if current.dangling else ""


def _cannot(detail: str) -> WorkError:
    return WorkError("node", detail, errored=True)


_STEPS: dict[Step, Callable[[Post], NodeFacts]] = {
    Step.PREFLIGHT: _preflight,
    Step.UPLOAD: _upload,
    Step.ONCE: _once,
    Step.SWITCH: _switch,
    Step.START: _start,
    Step.HOLD: _hold,
    Step.REVERT: _revert,
    Step.OBSERVE: _observe,
    Step.PROBE: _probe,
    Step.GATE: _gate,
    Step.PRUNE: _prune,
}
