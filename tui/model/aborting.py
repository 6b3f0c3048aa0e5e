"""What an abort is about: how that stands is looked at while the question is open, so that nothing that ended is aborted. Pure."""

from msgspec.structs import replace

from sando.client.shapes import Operation, Problem
from tui.model.effects import AskOperation
from tui.model.screen import Question, Screen
from tui.model.steps import Step, stay


def looked(screen: Screen) -> Step:
    """There is a new state: what is in flight has come with it, and what is not has to be asked for before a `y`."""
    question = screen.overlay
    if (
        not isinstance(question, Question)
        or question.act != "abort"
        or question.phase not in {"asking", "ready"}
    ):
        return stay(screen)
    operation = question.operation
    if operation is None or operation.ended:
        return stay(screen)
    known = screen.operations.get(operation.id)
    if known is not None:
        return stay(replace(screen, overlay=stands(question, known)))
    if question.again:
        return stay(screen)
    question = replace(question, phase="asking", seen=False, again=True)
    return replace(screen, overlay=question), (AskOperation(question.number, operation.id),)


def told(question: Question, operation: Operation | None, problem: Problem | None) -> Question:
    """The answer. Where it was asked again and cannot be had, the next state has it asked for once more."""
    if problem is None:
        return stands(question, operation)
    if question.operation is not None:
        return replace(question, again=False)
    return replace(question, phase="refused", problem=problem)


def stands(question: Question, operation: Operation | None) -> Question:
    """Another state of it has to be seen before it is agreed to."""
    version = operation.version if operation else None
    same = operation == question.operation and question.phase == "ready"
    return replace(
        question,
        operation=operation,
        version=version,
        phase="ready",
        again=False,
        seen=question.seen and same,
    )
