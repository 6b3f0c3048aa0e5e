"""How far it is, on stderr: a line for each step, and on a terminal a bar below them. stdout stays the answer's."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from sando.cli.codes import of_operation
from sando.cli.output import aside, colourful, document, painted, say
from sando.cli.session import Session
from sando.cli.waiting import AWAY_S, Shown, StillRunning, Watch, done_again, go_on, lasting, taken_up
from sando.cli.wording import ended, in_commands
from sando.client.caller import Unreachable
from sando.client.shapes import Operation
from sando.model.clock import span
from tui.model.told import size_of
from tui.rows import Segment
from tui.text import counted

Judge: TypeAlias = Callable[[Operation], int]


class Lines:
    """For a pipe and for CI: one line after the other."""

    def line(self, *pieces: Segment) -> None:
        aside("  ", *pieces)

    def far(self, operation: Operation) -> None:
        """The lines have said it."""


class Bar:
    """For a terminal: the same lines, and below them what goes on now, until it is over."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, far="")
        self._begun = time.monotonic()

    def line(self, *pieces: Segment) -> None:
        from rich.text import Text  # noqa: PLC0415  (rich is for what it shows alone)

        text = painted((Segment("  "), *pieces), colour=colourful(sys.stderr))
        self._progress.console.print(Text.from_ansi(text), soft_wrap=True)

    def far(self, operation: Operation) -> None:
        count, of, words = reached(operation)
        doing = lasting(operation, time.monotonic(), self._begun)
        self._progress.update(self._task, completed=count, total=of, description=doing, far=words)


def reached(operation: Operation) -> tuple[float, float | None, str]:
    """How much of how much; None where nobody knows the whole."""
    if operation.nodes:
        well = sum(n.status == "ok" for n in operation.nodes)
        return well, len(operation.nodes), f"{well} of {counted(len(operation.nodes), 'node')}"
    count, of = operation.details.get("bytes"), operation.details.get("of")
    if isinstance(count, int) and isinstance(of, int) and of:
        return count, of, f"{size_of(count)} of {size_of(of)}"
    return 0, None, size_of(count) if isinstance(count, int) else ""


@contextlib.contextmanager
def shown() -> Iterator[Shown]:
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines()
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415

    console = Console(
        stderr=True, no_color=not colourful(sys.stderr), highlight=False, markup=False, emoji=False
    )
    plain = (console.encoding or "").lower().startswith("utf")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cursor is shown again
    with Progress(
        SpinnerColumn("dots" if plain else "line"), TextColumn("{task.description}", markup=False), BarColumn(24),
        TextColumn("{task.fields[far]}", markup=False), console=console, transient=True, redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:  # fmt: skip
        yield Bar(progress)


def follow(
    sandod: Session,
    operation: Operation,
    *,
    seq: int | None,
    timeout: float | None,
    as_json: bool,
    judge: Judge = of_operation,
) -> int:
    """Waits, tells, and answers the exit code."""
    until = None if timeout is None else time.monotonic() + timeout
    try:
        with shown() as show:
            watch = Watch(sandod, show, seq)
            done = watch.watch(operation, timeout)
            while again := done_again(sandod, done):
                show.line(Segment(taken_up(done, again), "warn"))
                done = watch.watch(again, until and max(0.0, until - time.monotonic()))
    except KeyboardInterrupt:
        aside(Segment("not watched any more", "warn"), f"; it goes on: {go_on(operation)}")
        raise
    except Unreachable as error:
        gone = f"{error}, for {span(AWAY_S)}; {operation.kind} {operation.id} may go on: {go_on(operation)}"
        raise Unreachable(gone, sent=True) from None
    except StillRunning as error:
        if as_json:
            document(sandod.get(f"/operations/{operation.id}").body)
        aside(Segment("sando:", "bad"), f" waited {span(timeout or 0)}; {error}")
        return 1
    return finished(sandod, done, as_json=as_json, judge=judge)


def finished(sandod: Session, operation: Operation, *, as_json: bool, judge: Judge = of_operation) -> int:
    """The end as sandod tells it: the document, or a line and why."""
    if as_json:
        document(sandod.get(f"/operations/{operation.id}").body)
    else:
        say(*ended(operation))
    code = judge(operation)
    if code:
        why = (operation.error or "").strip()
        first, *rest = why.splitlines() or [operation.status]
        aside(Segment("sando:", "bad"), f" {in_commands(first)}")
        for line in rest:
            aside(f"  {line}")
        aside(f"  sando log {operation.id} shows its output")
    elif note := operation.details.get("note"):
        aside(Segment("  note: ", "warn"), in_commands(str(note)))
    return code
