"""The operation of the last act: looked at until it has ended, so that the message line says how it stands. Pure."""

from msgspec.structs import replace

from sando.client.shapes import Operation
from tui.model import outcome
from tui.model.effects import AskOutcome
from tui.model.messages import Outcome
from tui.model.screen import Note, Screen, Watch
from tui.model.steps import Step, stay

UNKNOWN = 404


def begun(screen: Screen, operation: Operation, text: str) -> Screen:
    """By an act, whose answer says in `text` what came of it."""
    screen = replace(screen, watch=None if operation.ended else Watch(operation))
    return _noted(screen, operation, text)


def looked(screen: Screen) -> Step:
    """There is a new state: what is in flight has come with it, and what is not has to be asked for."""
    watch = screen.watch
    if watch is None:
        return stay(screen)
    number = watch.operation.id
    known = watch.operation if watch.operation.ended else screen.operations.get(number)
    if known is not None:
        return stay(_stands(screen, watch, known))
    if watch.asking:
        return stay(screen)
    return replace(screen, watch=replace(watch, asking=True)), (AskOutcome(number),)


def told(screen: Screen, told: Outcome) -> Step:
    watch = screen.watch
    if watch is None or watch.operation.id != told.number:
        return stay(screen)
    if told.operation is not None:
        return stay(_stands(screen, watch, told.operation))
    if told.problem and told.problem.status == UNKNOWN:
        screen = replace(screen, watch=None)
        return stay(replace(screen, note=None) if _is_of(screen.note, watch.operation) else screen)
    return stay(replace(screen, watch=replace(watch, asking=False)))


def _stands(screen: Screen, watch: Watch, operation: Operation) -> Screen:
    """Another status is another line in the place of the one before. An end waits until no newer message stands there."""
    note = screen.note
    mine = _is_of(note, operation)
    if operation.ended and (mine or note is None or note.passing):
        return _noted(replace(screen, watch=None), operation, outcome.line(operation))
    screen = replace(screen, watch=Watch(operation))
    if mine and operation.status != watch.operation.status:
        return _noted(screen, operation, outcome.line(operation))
    return screen


def _noted(screen: Screen, operation: Operation, text: str) -> Screen:
    note = Note(text, outcome.style(operation), screen.now, operation=operation.id)
    return replace(screen, note=note)


def _is_of(note: Note | None, operation: Operation) -> bool:
    return note is not None and note.operation == operation.id
