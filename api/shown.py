"""Model values as the JSON that answers carry (SPEC 12, 14). It encodes, and never decides what is shown to whom."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from sando.model import wire
from sando.model.answers import Refusal
from sando.model.clock import stamp
from sando.model.codes import CODES, Code
from sando.model.events import Event
from sando.model.harmless import harmless
from sando.model.operation import Operation
from sando.model.release import Manifest, Release

W = TypeVar("W", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """JSON in UTF-8, harmless on a terminal; half a surrogate pair, which UTF-8 has no bytes for, is replaced."""
    try:
        return harmless(_encoder.encode(value))
    except UnicodeEncodeError:
        return harmless(_encoder.encode(_mended(msgspec.to_builtins(value))))


def operation(value: Operation, code: str | None = None) -> wire.Operation:
    """`code` says why the operation is one that was there before, or not what was asked for."""
    log = f"/operations/{value.id}/log"
    return _as(wire.Operation, value, log=log, **({"code": code} if code else {}))


def event(value: Event) -> wire.Event:
    return _as(wire.Event, value)


def event_bytes(value: Event) -> bytes:
    return encode(event(value))


def release(value: Release) -> wire.Release:
    return _as(wire.Release, replace(value, present=value.at_hand))


def manifest(value: Manifest) -> wire.Manifest:
    return _as(wire.Manifest, value)


def problem(value: Refusal) -> wire.Problem:
    """Keys without a value are left out."""
    code = CODES.get(value.code) or Code(value.code, value.status, "")
    more: dict[str, Any] = {}
    if value.hint:
        more["hint"] = value.hint
    if value.operation is not None:
        more["operation"] = operation(value.operation)
    if value.blocking:
        more["blocking"] = value.blocking
    kind = f"urn:sando:problem:{value.code}"
    return wire.Problem(kind, code.title, value.status, value.code, value.detail, **more)


def _as(kind: type[W], value: msgspec.Struct, **more: Any) -> W:
    """The fields of the same names, with their times in the one form that every answer uses."""
    names = (name for name in kind.__struct_fields__ if name not in more and hasattr(value, name))
    return kind(**{name: _shown(getattr(value, name)) for name in names}, **more)


def _shown(value: Any) -> Any:
    return stamp(value) if isinstance(value, datetime) else value


def _mended(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_mended(k): _mended(v) for k, v in value.items()}
        case list() | tuple():
            return [_mended(v) for v in value]
        case _:
            return value
