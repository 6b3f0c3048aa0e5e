"""Reads the version that a checkout declares, from whichever file the team keeps it in; it never runs anything."""

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from sando.model import names
from sando.model.errors import WorkError
from sando.work import inside
from sando.work.failure import of_the_machine

STEP = "version"
_LIMIT = 2**20
_KEY = "[build] version_from"


def declared_version(root: Path, folder: str, source: str, describe: Callable[[], str]) -> str:
    """The declared version; `source` is relative to `folder`, or "git". WorkError when it is missing or no name.

    Cargo.toml ([workspace.package] where it says so), pyproject.toml and package.json are understood; of any other
    file it is the first line.
    """
    if source == "git":
        return must_be_name(describe(), "git describe")
    path = PurePosixPath(folder, source)
    reader = _READERS.get(path.name, _first_line)
    return must_be_name(reader(root, path), inside.show(root, root / path))


def must_be_name(version: str, where: str) -> str:
    if not names.is_version(version):
        rule = "letters, digits and . + _ -, 64 at most, the first one a letter or a digit"
        shown = names.visible(version) if len(version) <= 80 else names.visible(version[:80]) + "…"
        raise WorkError(STEP, f"{shown!r} of {where} cannot name a release: {rule}")
    return version


def _cargo(root: Path, path: PurePosixPath) -> str:
    manifest = _toml(root, path)
    version = _at(manifest, "package", "version")
    if isinstance(version, str):
        return version
    if isinstance(version, dict) or "package" not in manifest:
        return _cargo_workspace(root, path, manifest)
    raise _silent(root, path, "[package] version")


def _cargo_workspace(root: Path, path: PurePosixPath, manifest: Mapping[str, object]) -> str:
    """[workspace.package] version, of the workspace that is named, else of the nearest one above."""
    named = _at(manifest, "package", "workspace")
    above = [path.parent / named] if isinstance(named, str) else [path.parent, *path.parent.parents]
    for folder in above:
        top = folder / path.name
        if (root / top).is_file() and "workspace" in (found := _toml(root, top)):
            version = _at(found, "workspace", "package", "version")
            if isinstance(version, str):
                return version
            raise _silent(root, top, "[workspace.package] version")
    raise _silent(root, path, "workspace with [workspace.package] version above it")


def _pyproject(root: Path, path: PurePosixPath) -> str:
    manifest = _toml(root, path)
    for keys in (("project", "version"), ("tool", "poetry", "version")):
        version = _at(manifest, *keys)
        if isinstance(version, str):
            return version
    raise _silent(root, path, "[project] version")


def _package_json(root: Path, path: PurePosixPath) -> str:
    try:
        version = _at(json.loads(_read(root, path)), "version")
    except (ValueError, RecursionError) as error:
        raise _unreadable(root, path, error) from error
    if isinstance(version, str):
        return version
    raise _silent(root, path, '"version"')


def _first_line(root: Path, path: PurePosixPath) -> str:
    return _read(root, path).partition("\n")[0].strip()


_READERS: dict[str, Callable[[Path, PurePosixPath], str]] = {
    "Cargo.toml": _cargo,
    "pyproject.toml": _pyproject,
    "package.json": _package_json,
}


def _toml(root: Path, path: PurePosixPath) -> dict[str, object]:
    try:
        return tomllib.loads(_read(root, path))
    except (ValueError, RecursionError) as error:
        raise _unreadable(root, path, error) from error


def _read(root: Path, path: PurePosixPath) -> str:
    real = inside.find(root, path, STEP, _KEY)
    try:
        with os.fdopen(inside.open_file(root, real), "rb") as file:
            return file.read(_LIMIT).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError as error:
        shown = inside.show(root, root / path)
        raise WorkError(
            STEP, f"cannot read {shown}: {error.strerror}", errored=of_the_machine(error)
        ) from error


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _silent(root: Path, path: PurePosixPath, what: str) -> WorkError:
    hint = 'or let [build] version_from name another file, or "git"'
    return WorkError(STEP, f"{inside.show(root, root / path)} has no {what}: add it, {hint}")


def _unreadable(root: Path, path: PurePosixPath, error: Exception) -> WorkError:
    return WorkError(STEP, f"cannot understand {inside.show(root, root / path)}: {names.visible(str(error))}")
