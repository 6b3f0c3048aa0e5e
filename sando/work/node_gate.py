"""One active gate of a tier on one of its nodes; it records nothing, green or red is all it answers."""

from sando.model.errors import WorkError
from sando.model.topology import GateSpec
from sando.work.environment import called
from sando.work.hosts.base import release_path
from sando.work.post import PROBE_S, Post, shown


def run_gate(post: Post) -> tuple[bool, str]:
    """Green or red, and why. WorkError (errored) when the gate could not run."""
    gate = post.task.gate
    if gate is None:
        raise WorkError("gate", "no gate was named", errored=True)
    match gate.kind:
        case "boot_smoke":
            return _boot_smoke(post, gate)
        case "command":
            return _command(post, gate)
        case _:
            raise WorkError(gate.name, f"a gate of kind {gate.kind} does not run on nodes", errored=True)


def _boot_smoke(post: Post, gate: GateSpec) -> tuple[bool, str]:
    """Where a service runs its probe is asked; else the artifact is started beside it, on a port of its own."""
    task = post.task
    timeout = gate.timeout_s or PROBE_S
    if task.probe is not None:
        try:
            return True, post.until_green(task.probe, task.version, timeout)
        except WorkError as error:
            post.say(f"{gate.name} red: {error.detail}")
            return False, error.detail
    if not task.run:
        raise WorkError(
            gate.name, "how the artifact is started is not known: set run in [build]", errored=True
        )
    post.say(f"{gate.name}: boot {task.version}")
    verdict = post.host.boot(
        (*task.run, *gate.args),
        cwd=release_path(post.host, task.version),
        env={**post.env(task.version, task.previous), **gate.env},
        probe=gate.probe,
        settle_s=gate.settle_s,
        timeout_s=timeout,
        log=post.log,
        keepers=post.keepers,
        cancel=post.cancel,
    )
    return verdict.passed, verdict.message


def _command(post: Post, gate: GateSpec) -> tuple[bool, str]:
    task = post.task
    if gate.command is None:
        raise WorkError(gate.name, "no command: set command on the gate", errored=True)
    post.say(f"{gate.name}: {shown(gate.command)}")
    try:
        ended, _ = post.host.run(
            gate.command,
            cwd=release_path(post.host, task.version),
            env={**post.env(task.version, task.previous), **gate.env},
            log=post.log,
            cancel=post.cancel,
            timeout=gate.timeout_s or task.timeout_s,
            step=called(gate.command),
        )
    except WorkError as error:
        if error.errored:
            raise
        return False, error.detail
    return ended.ok, ended.of(called(gate.command))
