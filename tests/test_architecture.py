"""The house rules that a machine can hold: who may import whom, who may not wait, and how files are kept.

Each rule is a function from a module's source to its findings, so that it is also shown to bite on a bad sample.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ("sando", "actors", "api", "tui")
MAX_LINES = 300
pytestmark = pytest.mark.no_cover  # nothing of the house is run here


class Module(NamedTuple):
    """A source file by its import name."""

    name: str
    source: str
    is_package: bool = False


class Room(NamedTuple):
    """What a package may import of the house, and of third parties; `stdlib` None: all of it."""

    house: frozenset[str]
    third: frozenset[str] = frozenset()
    stdlib: frozenset[str] | None = None
    sealed: frozenset[str] = frozenset()  # parts of the standard library that it may not import


def room(house: str, third: str = "", stdlib: str | None = None, sealed: str = "") -> Room:
    pure = None if stdlib is None else frozenset(stdlib.split())
    return Room(frozenset(house.split()), frozenset(third.split()), pure, frozenset(sealed.split()))


PURE = (
    "abc bisect collections dataclasses datetime difflib enum fnmatch functools hashlib heapq ipaddress itertools json math"
    " operator re statistics string textwrap types typing unicodedata zoneinfo"
)
# The longest prefix of a module's name finds its row. msgspec is the language of the values: all may speak it.
ROOMS = {
    "sando.model": room("sando.model", stdlib=PURE),
    "sando.work": room(
        "sando.model sando.work sando.failpoints", "paramiko backports compression inotify_simple"
    ),
    "sando.config": room("sando.model sando.config", "tomlkit"),
    "sando.store": room("sando.model sando.store sando.failpoints", "peewee playhouse"),
    "sando.metrics": room("sando.model sando.metrics", "prometheus_client"),
    "sando.notify": room("sando.model sando.notify"),
    # Both faces ask sandod in the same way: how is neither's, so that the command line needs nothing of the screen.
    "sando.client": room("sando.model sando.client", "simple_websocket wsproto", sealed="curses"),
    "sando.client.shapes": room("sando.model", stdlib=PURE),
    "sando.cli": room("sando.model sando.client sando.cli tui", "click rich"),
    # `sando check` asks no daemon: it reads the two files as sandod does.
    "sando.cli.checking": room("sando.cli sando.config tui.rows", "click"),
    "actors": room(
        "sando.model sando.work actors", "pykka", sealed="subprocess socket multiprocessing asyncio"
    ),
    "api": room("sando.model actors.messages api", "falcon waitress simple_websocket prometheus_client"),
    # What the screen knows and how it looks is as pure as the daemon's model; one room alone knows the terminal.
    "tui": room("sando.model tui", "wcwidth", stdlib=PURE),
    "tui.__main__": room("tui"),
    "tui.model": room("sando.model sando.client.shapes tui.model tui.text tui.rows", stdlib=PURE),
    "tui.panels": room(
        "sando.model sando.client.shapes tui.model tui.panels tui.text tui.rows tui.glyphs", stdlib=PURE
    ),
    "tui.client": room("sando.model sando.client tui.model tui.client", sealed="curses"),
    "tui.app": room("sando.client tui", "npyscreen"),
    "sando": room("sando.model"),  # the small ones: logs, sd
}
FREE = ("sando.daemon",)  # the composition root, imported by nothing
EVERYWHERE = frozenset({"msgspec"})


def read(root: Path = ROOT) -> list[Module]:
    found = []
    for top in HOUSE:
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            package = parts[-1] == "__init__"
            found.append(Module(".".join(parts[:-1] if package else parts), path.read_text(), package))
    return found


MODULES = read()


# -- who may import whom -------------------------------------------------------------------------------------


def imports(module: Module, known: frozenset[str] = frozenset()) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a module imports, at its top or inside a function, by name or relatively.

    `from a import b` is `a.b` where that is a module of the house, else `a`.
    """
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
                above = here[: len(here) + 1 - node.level]
                base = ".".join([*above, base]).rstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in known else base


def within(name: str, packages: frozenset[str] | tuple[str, ...]) -> bool:
    return any(name == p or name.startswith(p + ".") for p in packages)


def row_of(name: str) -> Room:
    return ROOMS[max((p for p in ROOMS if within(name, (p,))), key=len)]


def foreign(module: Module, known: frozenset[str] = frozenset()) -> list[str]:
    """What the module imports and may not."""
    if within(module.name, FREE):
        return []
    row = row_of(module.name)
    return [
        f"{module.name}:{line} imports {name}" for line, name in imports(module, known) if not _may(row, name)
    ]


def _may(row: Room, name: str) -> bool:
    top = name.split(".", maxsplit=1)[0]
    if top in HOUSE:
        return name == "sando" or within(name, row.house)  # `sando` itself has the version only
    if top in sys.stdlib_module_names:
        return top not in row.sealed and (row.stdlib is None or top in row.stdlib)
    return top in EVERYWHERE or top in row.third


KNOWN = frozenset(m.name for m in MODULES)
PURE_ROOMS = (
    "sando.model",
    "sando.client.shapes",
    "tui.model",
    "tui.panels",
    "tui.text",
    "tui.rows",
    "tui.glyphs",
)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_a_module_imports_only_what_its_room_may(module: Module) -> None:
    assert foreign(module, KNOWN) == []


def test_every_room_that_exists_is_read() -> None:
    assert {"sando.model", "sando.work", "sando.client", "actors", "api", "tui.model", "tui.app"} <= KNOWN
    assert len(MODULES) > 20


@pytest.mark.parametrize("free", FREE)
def test_the_composition_root_is_imported_by_nothing(free: str) -> None:
    importers = [m.name for m in MODULES if not within(m.name, (free,)) and imports_any(m, free)]
    assert importers == []


def imports_any(module: Module, name: str) -> bool:
    return any(within(found, (name,)) for _, found in imports(module, frozenset({name})))


BAD_IMPORTS = [
    ("sando.model.x", "import threading"),
    ("sando.model.x", "import os.path"),
    ("sando.model.x", "def f():\n    from pathlib import Path"),
    ("sando.model.x", "from subprocess import run"),
    ("sando.model.x", "import socket as s"),
    ("sando.model.x", "from time import sleep"),
    ("sando.model.x", "import msgspec, peewee"),
    ("sando.model.x", "from ..work import runner"),
    ("sando.model.x", "from sando.store import Store"),
    ("sando.work.x", "from actors import base"),
    ("sando.work.x", "import pykka"),
    ("sando.work.x", "from sando import store"),
    ("sando.work.hosts", "from ...store import Store"),
    ("sando.config.x", "import peewee"),
    ("sando.config", "from .. import store"),
    ("sando.store", "from sando.config import load"),
    ("sando.metrics", "import falcon"),
    ("actors.x", "import subprocess"),
    ("actors.x", "from sando.store import Store"),
    ("actors.x", "from api import app"),
    ("api.x", "from actors.tier import Tier"),
    ("api.x", "from actors import tier"),
    ("api.x", "import sando.work.git"),
    ("api.x", "from sando.store import Store"),
    ("sando.client.x", "from actors import base"),
    ("sando.client.x", "import curses"),
    ("sando.client.shapes", "import http.client"),
    ("tui.x", "import paramiko"),
    ("tui.model.x", "import curses"),
    ("tui.model.x", "from time import monotonic"),
    ("tui.model.x", "from tui.panels import header"),
    ("tui.panels.x", "import npyscreen"),
    ("tui.client.x", "from tui.app import canvas"),
    ("tui.client.x", "import curses"),
    ("sando.cli.x", "import falcon"),
    ("sando.cli.x", "import npyscreen"),
]
GOOD_IMPORTS = [
    ("sando.model.x", "import re\nfrom msgspec import Struct\nfrom sando.model import names"),
    ("sando.model.x", "from .names import is_tier"),
    ("sando.model", "from .names import is_tier"),
    ("sando.work.hosts.x", "from ..process import run\nimport os, paramiko"),
    ("actors.x", "import pykka\nfrom sando.work.outcome import Done\nfrom actors import messages"),
    (
        "api.x",
        "from actors.messages import Promote\nfrom actors import messages\nfrom sando import __version__",
    ),
    ("tui.model.x", "from sando.client.shapes import State\nfrom tui.rows import Row"),
    ("tui.app.x", "import curses, npyscreen\nfrom tui.client.crew import Crew"),
    ("sando.cli.x", "import click\nfrom sando.client.caller import Caller\nfrom tui.app.main import main"),
    ("sando.daemon", "import falcon, pykka, peewee\nfrom actors.root import Root"),
]
SAMPLE = frozenset(
    {
        "tui.panels.header",
        "tui.app.canvas",
        "sando.store",
        "sando.work.runner",
        "actors.base",
        "actors.tier",
        "actors.messages",
        "api.app",
    }
)


@pytest.mark.parametrize(("name", "source"), BAD_IMPORTS)
def test_the_import_rule_bites(name: str, source: str) -> None:
    package = name in {"sando.work.hosts", "sando.config"}
    assert foreign(Module(name, source, package), SAMPLE)


@pytest.mark.parametrize(("name", "source"), GOOD_IMPORTS)
def test_the_import_rule_lets_the_others_pass(name: str, source: str) -> None:
    assert foreign(Module(name, source, name == "sando.model"), SAMPLE) == []


@pytest.mark.parametrize(
    "source", ["import sando.daemon", "from sando import daemon", "from sando.daemon import main"]
)
def test_the_rule_of_the_composition_root_bites(source: str) -> None:
    assert imports_any(Module("api.x", source), "sando.daemon")


# -- the model is pure ---------------------------------------------------------------------------------------

CLOCKS = {"now", "utcnow", "today"}
DOORS = {"open", "input", "print", "exec", "eval", "__import__"}


def impure(module: Module) -> list[str]:
    """Calls that reach a file, a terminal or a clock; the room has no import for anything worse."""
    found = []
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.Call):
            call = node.func
            if isinstance(call, ast.Name) and call.id in DOORS:
                found.append(f"{module.name}:{node.lineno} calls {call.id}()")
            elif isinstance(call, ast.Attribute) and call.attr in CLOCKS and not node.args:
                found.append(f"{module.name}:{node.lineno} calls .{call.attr}()")
    return found


@pytest.mark.parametrize("module", [m for m in MODULES if within(m.name, PURE_ROOMS)], ids=lambda m: m.name)
def test_the_model_reaches_no_file_and_no_clock(module: Module) -> None:
    assert impure(module) == []


@pytest.mark.parametrize(
    "source",
    [
        "open('x')",
        "datetime.now()",
        "datetime.now(tz=UTC)",
        "date.today()",
        "print('x')",
        "f = lambda: open(p)",
    ],
)
def test_the_rule_of_purity_bites(source: str) -> None:
    assert impure(Module("sando.model.x", source))


# -- no actor waits ------------------------------------------------------------------------------------------

WAITS = {"ask", "proxy", "sleep"}


def waits(module: Module) -> list[str]:
    """Calls by which an actor would wait: ask, proxy, sleep, and a future's or a queue's `.get()`."""
    calls = [n for n in ast.walk(ast.parse(module.source)) if isinstance(n, ast.Call)]
    found = [f"{module.name}:{c.lineno} calls {name}" for c in calls if (name := _waiting(c))]
    found += [
        f"{module.name}:{line} imports {name}"
        for line, name in imports(module)
        if name.split(".")[0] in {"subprocess", "socket"}
    ]
    return found


def _waiting(call: ast.Call) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in WAITS:
        return name
    if name == "get" and isinstance(call.func, ast.Attribute):
        if ast.unparse(call.func.value) == "self.actor_inbox":
            return ""  # a dying actor answers what is left in its own inbox, as long as there is something
        timed = any(k.arg in {"timeout", "block"} for k in call.keywords)
        return "get" if timed or not (call.args or call.keywords) else ""
    return ""


@pytest.mark.parametrize("module", [m for m in MODULES if within(m.name, ("actors",))], ids=lambda m: m.name)
def test_no_actor_waits(module: Module) -> None:
    assert waits(module) == []


@pytest.mark.parametrize(
    "source",
    [
        "self.tier.ask(Vouch())",
        "self.tier.proxy().state.get()",
        "future.get(timeout=5)",
        "future.get()",
        "queue.get(block=True)",
        "time.sleep(1)",
        "from time import sleep\nsleep(1)",
        "import subprocess",
        "def f():\n    from socket import create_connection",
    ],
)
def test_the_rule_of_waiting_bites(source: str) -> None:
    assert waits(Module("actors.x", source))


def test_the_rule_of_waiting_knows_a_dict_and_the_own_inbox() -> None:
    assert waits(Module("actors.x", "self.nodes.get(name)\nself.nodes.get(name, None)\nref.tell(m)")) == []
    assert waits(Module("actors.x", "self.actor_inbox.get()")) == []


# -- how files are kept --------------------------------------------------------------------------------------

NAMELESS = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)(_|$)")


def untidy(module: Module) -> list[str]:
    """A name that names nothing, a missing first sentence, a file that has grown too long."""
    found = []
    if NAMELESS.search(module.name.rsplit(".", 1)[-1]):
        found.append(f"{module.name}: its name names nothing")
    if not (ast.get_docstring(ast.parse(module.source)) or "").strip():
        found.append(f"{module.name}: has no docstring that says what it owns")
    if (lines := len(module.source.splitlines())) > MAX_LINES:
        found.append(f"{module.name}: has {lines} lines, more than {MAX_LINES}")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_a_file_has_a_name_a_first_sentence_and_a_measure(module: Module) -> None:
    assert untidy(module) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("api.utils", '"""A."""'),
        ("api.http_helpers", '"""A."""'),
        ("sando.work.manager", '"""A."""'),
        ("api.x", ""),
        ("api.x", "import re\n'''late'''"),
        ("api.x", '"""A."""\n' + "x = 1\n" * MAX_LINES),
    ],
)
def test_the_rule_of_tidiness_bites(name: str, source: str) -> None:
    assert untidy(Module(name, source))


@pytest.mark.parametrize("name", ["api.command", "sando.model.retention", "tui.utility_meter"])
def test_the_rule_of_tidiness_takes_a_noun(name: str) -> None:
    assert untidy(Module(name, '"""A."""')) == []


def test_modules_are_found_by_their_import_names(tmp_path: Path) -> None:
    (tmp_path / "api" / "deep").mkdir(parents=True)
    (tmp_path / "api" / "__init__.py").write_text('"""A."""')
    (tmp_path / "api" / "deep" / "x.py").write_text("import os")
    assert [(m.name, m.is_package) for m in read(tmp_path)] == [("api", True), ("api.deep.x", False)]
