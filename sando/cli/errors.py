"""How a command line ends when it does not end well: what is said, in sandod's own words, and with which exit code."""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from sando.cli.codes import FAILED, INTERRUPTED, USAGE, of_problem
from sando.cli.outlets import PipeClosedError, UnwrittenError, by_code, taken, to_nowhere, told_apart
from sando.model.errors import SandoError

PIPE_CLOSED = 141
LISTED = "clears by "
"""A hint that says in one line what is listed below it."""


class Command(click.Command):
    """A command whose refusals are told in words, and with --json as the document that sandod answered too."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SandoError as error:
            return told(error, as_json=bool(ctx.params.get("as_json")))


def ends(act: Callable[[], Any]) -> int:
    """The exit code of `act`, whichever way it ends."""
    try:
        with told_apart():
            code = act()
            sys.stdout.flush()
    except click.ClickException as error:
        taken(sys.stderr, error.show)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except PipeClosedError:
        to_nowhere(sys.stdout)
        return PIPE_CLOSED
    except UnwrittenError as error:
        to_nowhere(sys.stdout)
        said = f"sando: stdout: {error}"
        taken(sys.stderr, lambda: click.echo(said, err=True))
        return FAILED
    return code if isinstance(code, int) else 0


def told(error: SandoError, *, as_json: bool) -> int:
    """Says it, and answers the exit code."""
    # Whoever asks sandod has loaded these; `--help` and usage errors need none of them.
    from sando.cli.output import document, made  # noqa: PLC0415
    from sando.client.address import AddressError  # noqa: PLC0415
    from sando.client.caller import Refused, Unreachable  # noqa: PLC0415
    from sando.client.shapes import Problem  # noqa: PLC0415

    by_code()
    match error:
        case Refused(problem=problem):
            hint = _token_hint(problem.status) or problem.hint
        case Unreachable():
            hint = "" if error.sent else _where()
            problem = Problem(0, "unreachable", str(error), hint)
        case AddressError():
            problem, hint = Problem(0, "usage", str(error)), ""
        case _:
            problem, hint = Problem(0, "failed", str(error)), ""
    if as_json and isinstance(error, Refused) and error.body and problem.code != "not_sandod":
        document(error.body)
    elif as_json:
        made(_shaped(problem))
    lines(problem, hint)
    return {"usage": USAGE, "failed": FAILED}.get(problem.code) or of_problem(problem)


def _shaped(problem: Any) -> dict[str, object]:
    """What did not come from sandod, in the shape of what does."""
    own = {"type": f"urn:sando:problem:{problem.code}", "title": problem.code.replace("_", " ").capitalize(),
           "status": problem.status, "code": problem.code, "detail": problem.detail}  # fmt: skip
    return own | ({"hint": problem.hint} if problem.hint else {})


def lines(problem: Any, hint: str) -> None:
    """What is wrong, the next step, and all that stands in the way."""
    from sando.cli.output import aside  # noqa: PLC0415
    from sando.cli.wording import check_line, in_commands  # noqa: PLC0415
    from tui.rows import Segment  # noqa: PLC0415

    aside(Segment("sando:", "bad"), Segment(f" {in_commands(problem.detail or problem.code)}"))
    if hint and not (problem.blocking and hint.startswith(LISTED)):
        aside(f"  {in_commands(hint)}")
    for check in problem.blocking:
        if len(problem.blocking) > 1 or check.detail != problem.detail:
            aside("  ", *check_line(check))


def _token_hint(status: int) -> str:
    if status != 401:
        return ""
    if os.environ.get("SANDO_TOKEN"):
        return "SANDO_TOKEN is set, and is no token of this sandod; `sandod token` makes one"
    return "set SANDO_TOKEN to a token of this sandod; `sandod token` makes one"


def _where() -> str:
    if os.environ.get("SANDO_DAEMON", "").strip():
        return "is sandod started, and is that its address? SANDO_DAEMON says so"
    return "is sandod started? SANDO_DAEMON names another address than the default"
