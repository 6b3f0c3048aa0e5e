"""The schemas of bodies and answers, from the types that bodies are decoded into and answers are made of."""

from collections.abc import Iterable, Sequence
from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import Struct, UnsetType, inspect

from api.route import Route
from sando.model import wire

_REF = "#/components/schemas/{name}"

Document = dict[str, Any]


def ref(name: str) -> Document:
    return {"$ref": _REF.format(name=name)}


def schema_of(kind: type[Struct]) -> Document:
    """Of one struct, as msgspec makes it."""
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    found: Document = components[kind.__name__]
    return found


def schemas(routes: Sequence[Route]) -> Document:
    bodies: set[type[Struct]] = {r.body for r in routes if r.body and msgspec.structs.fields(r.body)}
    answers: set[type[Struct]] = {k for r in routes for k in r.answers.values() if isinstance(k, type)}
    _, of_bodies = msgspec.json.schema_components(sorted(bodies, key=_name), ref_template=_REF)
    told: list[type[Struct]] = sorted([*answers, wire.Problem], key=_name)
    _, of_answers = msgspec.json.schema_components(told, ref_template=_REF)
    structs = _structs(told)
    whole = {
        name: _whole(structs[name], schema) if name in structs else schema
        for name, schema in of_answers.items()
    }
    return {name: portable(schema) for name, schema in sorted({**of_bodies, **whole}.items())}


def _name(kind: type[Struct]) -> str:
    return kind.__name__


def _whole(kind: type[Struct], schema: Document) -> Document:
    """An answer has every key, also one that has a default, but those that are left out where there is nothing to say."""
    always = [f.encode_name for f in msgspec.structs.fields(kind) if not _may_lack(f.type)]
    properties = {k: {w: x for w, x in v.items() if w != "default"} for k, v in schema["properties"].items()}
    return {**schema, "properties": properties, "required": always}


def _may_lack(kind: Any) -> bool:
    return UnsetType in getattr(kind, "__args__", ())


def _structs(kinds: Iterable[type[Struct]]) -> dict[str, type[Struct]]:
    """Every struct within these, by name."""
    found: dict[str, type[Struct]] = {}
    left = [inspect.type_info(kind) for kind in kinds]
    while left:
        told = left.pop()
        if isinstance(told, inspect.StructType) and told.cls.__name__ not in found:
            found[told.cls.__name__] = told.cls
            left += [f.type for f in told.fields]
        elif isinstance(told, inspect.UnionType):
            left += told.types
        elif isinstance(told, inspect.VarTupleType | inspect.ListType):
            left.append(told.item_type)
        elif isinstance(told, inspect.DictType):
            left.append(told.value_type)
    return found


def portable(value: Any) -> Any:
    r"""Python's \\Z, which no trailing line feed passes, is `$` in the regular expressions of JSON Schema."""
    match value:
        case dict():
            return {key: _portable_text(key, item) for key, item in value.items()}
        case list():
            return [portable(v) for v in value]
        case _:
            return value


def _portable_text(key: str, value: Any) -> Any:
    if key == "pattern":
        return value.replace("\\Z", "$")
    return cleandoc(value) if key == "description" and isinstance(value, str) else portable(value)
