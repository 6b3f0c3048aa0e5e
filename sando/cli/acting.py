"""What the commands that start an operation have in common: send, and then say what was started or wait for its end."""

from collections.abc import Mapping

from sando.cli.codes import of_operation
from sando.cli.output import aside, document, say
from sando.cli.progress import Judge, finished, follow
from sando.cli.session import Session
from sando.cli.waiting import go_on
from sando.cli.wording import subject
from sando.client.shapes import Operation
from tui.model.outcome import stopping
from tui.rows import Segment

_NOTES = {
    "already_building": "the same commit is being built already",
    "already_built": "it was built, and is green, already",
    "already_accepted": "it was accepted already",
    "already_running": "that runs already",
    "aborting": "it begins when the promotion that runs has been stopped",
}


def start(
    sandod: Session,
    path: str,
    body: Mapping[str, object],
    *,
    key: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    judge: Judge = of_operation,
) -> int:
    """The exit code; `judge` has the last word on how it ended."""
    wait = wait or timeout is not None
    seq = sandod.state().seq if wait else None
    answer = sandod.act("POST", path, body, key)
    operation = sandod.decode(Operation, answer)
    if note := _NOTES.get(str(answer.json().get("code"))):
        aside(f"{subject(operation)}: {note}")
    if wait:
        return follow(sandod, operation, seq=seq, timeout=timeout, as_json=as_json, judge=judge)
    if operation.ended:
        return finished(sandod, operation, as_json=as_json, judge=judge)
    if as_json:
        document(answer.body)
    else:
        say(f"{subject(operation)}: ", Segment(stopping(operation) or operation.status, "busy"))
        aside(f"  {go_on(operation)}")
    return 0
