"""Model values as the JSON that answers carry (SPEC 12, 14). It encodes, and never decides what is shown to whom."""

from datetime import datetime
from typing import Any

import msgspec

from sando.model.clock import stamp
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.release import Manifest, Release
from sando.model.wire import harmless

_encoder = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """JSON in UTF-8, harmless on a terminal; half a surrogate pair, which UTF-8 has no bytes for, is replaced."""
    try:
        return harmless(_encoder.encode(value))
    except UnicodeEncodeError:
        return harmless(_encoder.encode(_mended(msgspec.to_builtins(value))))


def operation(value: Operation) -> dict[str, Any]:
    shown = _stamped(value, "created_at", "started_at", "finished_at")
    return shown | {"log": f"/operations/{value.id}/log"}


def event(value: Event) -> dict[str, Any]:
    """`seq`, `at` and `type` stand first, as people read them."""
    shown = _stamped(value, "at")
    return {key: shown[key] for key in ("seq", "at", "type")} | shown


def event_bytes(value: Event) -> bytes:
    return encode(event(value))


def release(value: Release) -> dict[str, Any]:
    return _stamped(value, "built_at", "pushed_at")


def manifest(value: Manifest) -> dict[str, Any]:
    return _stamped(value, "built_at")


def _stamped(value: msgspec.Struct, *times: str) -> dict[str, Any]:
    """The fields with their times in the one form that every answer uses."""
    shown: dict[str, Any] = msgspec.to_builtins(value)
    for name in times:
        at = getattr(value, name)
        shown[name] = stamp(at) if isinstance(at, datetime) else None
    return shown


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
