"""Hostile and broken files: each is a line for the operator, none a traceback. And what `check` tells of a pair."""

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sando.config import check, load_daemon, load_topology, warnings
from sando.model.errors import ConfigError
from sando.model.topology import DaemonSpec, Topology

SEED_DAEMON = """\
listen = "127.0.0.1:7766"
db_path = "/tmp/sando-dev/sando.db"
topology_path = "/tmp/sando-dev/sando.toml"
workdir = "/tmp/sando-dev/work"
release_root = "/tmp/sando-dev/releases"
# scratch_db_url = "postgres://you@127.0.0.1/sando_scratch"
"""

SEED_TOPOLOGY = """\
[repo]
bare_path = "/tmp/sando-dev/mnw.git"
branch = "main"
[backup]
source = "file:///tmp/sando-dev/fake-backup.sql"
local_path = "/tmp/sando-dev/backup.sql"

[[tier]]
name = "mm"
provisioned = true
gates = [
{ kind = "cargo_test" },
{ kind = "migration_dry_run" },
{ kind = "boot_smoke" },
]

[[tier]]
name = "a"
provisioned = true
canary = "sequential"
gates = [
{ kind = "boot_smoke" },
{ kind = "manual_confirm" },
]
[[tier.node]]
name = "a-local"
ssh_target = "local"
release_root = "/tmp/sando-dev/a-node"
"""


def _pair(folder: Path, daemon: str, topology: str) -> Path:
    (folder / "sando.toml").write_text(topology)
    path = folder / "daemon.toml"
    path.write_text(daemon.replace("/tmp/sando-dev", str(folder)).replace("/etc/sando", str(folder)))
    return path


def _problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        load_topology(path, tokens=False)
    return refused.value.problems


def test_the_quickstart_files_load_as_they_are_without_a_warning(tmp_path: Path) -> None:
    path = _pair(tmp_path, SEED_DAEMON, SEED_TOPOLOGY)
    assert check(path) == ((), ())
    daemon = load_daemon(path)
    topology = load_topology(daemon.topology_path, tokens=False, store=daemon.release_root)
    assert [tier.name for tier in topology.tiers] == ["mm", "a"]


def test_the_full_files_check_without_a_problem(tmp_path: Path, daemon_text: str, topology_text: str) -> None:
    assert check(_pair(tmp_path, daemon_text, topology_text))[0] == ()


def test_check_tells_the_problems_of_both_files(tmp_path: Path) -> None:
    path = _pair(tmp_path, SEED_DAEMON + "x = 1\n", SEED_TOPOLOGY + "y = 1\n")
    found, warned = check(path)
    assert [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in found] == [
        "daemon.toml:7",
        "sando.toml:29",
    ]
    assert warned == ()


def test_check_holds_local_nodes_against_the_release_store(tmp_path: Path) -> None:
    topology = SEED_TOPOLOGY.replace("/tmp/sando-dev/a-node", f"{tmp_path}/releases/a")
    (found,), _ = check(_pair(tmp_path, SEED_DAEMON, topology))
    assert "overlaps the release store" in found


def test_check_counts_approvals_only_with_tokens(
    tmp_path: Path, daemon_text: str, topology_text: str
) -> None:
    without = daemon_text.split("[[token]]", maxsplit=1)[0]
    (found,), _ = check(_pair(tmp_path, without, topology_text))
    assert "min_approvals: more than 1 needs tokens" in found


TOKEN = '[[token]]\nname = "{}"\nscope = "{}"\nsha256 = "{}"\n'


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        ({"eva": "operate", "max": "operate", "ci": "read"}, None),
        ({"eva": "operate", "ci": "read", "nightly": "build"}, "has 1 token of scope operate"),
        ({"ci": "read"}, "has 0 tokens of scope operate"),
    ],
)
def test_check_warns_of_approvals_that_nobody_is_there_to_give(
    tmp_path: Path, daemon_text: str, topology_text: str, scopes: dict[str, str], told: str | None
) -> None:
    without = daemon_text.split("[[token]]", maxsplit=1)[0]
    tokens = "".join(TOKEN.format(n, s, hashlib.sha256(n.encode()).hexdigest()) for n, s in scopes.items())
    problems, warned = check(_pair(tmp_path, without + tokens, topology_text))
    assert problems == ()
    found = [line for line in warned if "approvals" in line]
    assert found == [
        f"tier b: manual_confirm wants 2 approvals, and daemon.toml {has}: it never turns green; add tokens "
        "(`sandod token NAME --scope operate`), or lower min_approvals"
        for has in [told]
        if has
    ]


def test_check_says_that_the_topology_file_is_missing(tmp_path: Path) -> None:
    path = _pair(tmp_path, SEED_DAEMON, "")
    (tmp_path / "sando.toml").unlink()
    assert check(path)[0] == (
        f"{tmp_path}/sando.toml:1: file: does not exist; create it, or correct the path that names it",
    )


def test_check_stops_at_a_daemon_file_that_names_no_topology(tmp_path: Path) -> None:
    (tmp_path / "daemon.toml").write_text("listen = 1")
    assert len(check(tmp_path / "daemon.toml")[0]) == 5
    assert "does not exist" in check(tmp_path / "none.toml")[0][0]


HOSTILE = {
    "nested arrays": (b"a = " + b"[" * 50_000, "1: syntax: no valid TOML at column"),
    "nested tables": (b"a = " + b"{a=" * 50_000, "1: syntax: no valid TOML at column"),
    "dotted key": (b".".join([b"a"] * 50_000) + b" = 1", "1: syntax: no valid TOML at column"),
    "dotted header": (b"[" + b".".join([b"a"] * 50_000) + b"]", "1: "),
    "6000 digits": (b"a = " + b"9" * 6000, "1: syntax: no valid TOML at column 1: Invalid number"),
    "6000 hex digits": (b"a = 0x" + b"f" * 6000, "1: "),
    "infinity": (b"repo = inf", "1: repo: is a decimal number, must be a table"),
    "nan": (b"tier = nan", "1: tier: is a decimal number, must be a list of tables"),
    "NUL": (
        b'[repo]\nbare_path = "/a\\u0000"',
        "2: repo.bare_path: has control characters: '/a\\x00'; remove them",
    ),
    "escape": (
        b'[repo]\nbare_path = "/a\\u001b[2J"',
        "2: repo.bare_path: has control characters: '/a\\x1b[2J'",
    ),
    "raw NUL": (b"a = 'x\0'", "1: syntax: "),
    "escape in a key": (b'"\\u001b[2J\\n" = 1', "1: \\x1b[2J\\n: unknown key;"),
    "empty key": (b'"" = 1', '1: "": unknown key;'),
    "no UTF-8": (b"a = 1\nb = '\xff'\n", "2: file: is not UTF-8 text; save it as UTF-8"),
    "UTF-16": ("a = 1".encode("utf-16"), "1: file: is not UTF-8 text"),
    "no value": (b"\n\na = \n", "3: syntax: no valid TOML at column 5:"),
    "twice": (b"a = 1\na = 2\n", '2: syntax: no valid TOML at column 1: Key "a" already exists'),
    "twice in a table": (
        b"[[tier]]\nname = 'a'\n[[tier]]\nname = 'b'\nx = 1\nname = 'c'\n",
        "6: syntax: no valid TOML: Key",
    ),
    "twice in an inline table": (b"a = 1\nb = [ {x = 1},\n {x = 2, x = 3} ]\n", "3: syntax: no valid TOML"),
    "twice, then nested arrays": (b"a = {x = 1, x = 2}\nb = " + b"[" * 50_000, "1: syntax: no valid TOML"),
    "table and list": (b"[[tier]]\n[tier.node]\nx = 1\n[[tier.node]]\ny = 1\n", "4: syntax: no valid TOML"),
    "open string": (b'a = "x\n', "1: syntax: "),
    "too large": (b"#" * (1024 * 1024 + 1), "1: file: is larger than 1 MiB; is it the right file?"),
    "date": (b"tier = 2026-01-01", "1: tier: is a date or time, must be a list of tables"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_line_and_no_traceback(name: str, tmp_path: Path) -> None:
    content, said = HOSTILE[name]
    path = tmp_path / "sando.toml"
    path.write_bytes(content)
    found = _problems(path)
    assert any(line.startswith(f"{path}:{said}") for line in found), found
    assert all(line.isprintable() and len(line) < 1000 for line in found)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "sando.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SEED_TOPOLOGY.replace("\n", "\r\n").encode())
    assert load_topology(path, tokens=False)


def test_a_file_that_is_none_is_told_by_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "does not exist" in _problems(tmp_path / "none")[0]
    assert "is no regular file" in _problems(tmp_path / "fifo")[0]
    assert "cannot be read (Is a directory)" in _problems(tmp_path)[0]
    assert "cannot be read (Not a directory)" in _problems(Path("/dev/null/x"))[0]
    assert "cannot be read (embedded null byte)" in _problems(Path("a\0b"))[0]


def test_a_thousand_problems_are_cut_and_counted_in_short_time(tmp_path: Path) -> None:
    path = tmp_path / "sando.toml"
    path.write_text("".join(f"listen{n} = 1\n" for n in range(5000)))
    began = time.monotonic()
    found = _problems(path)
    assert len(found) == 101
    assert found[-1].endswith("and 4902 more; fix these first")
    assert time.monotonic() - began < 60


def test_six_hundred_nodes_are_read_in_short_time(tmp_path: Path) -> None:
    path = tmp_path / "sando.toml"
    nodes = "".join(
        f'[[tier.node]]\nname = "n{n}"\nssh_target = "local"\nrelease_root = "/n/{n}"\n' for n in range(600)
    )
    path.write_text(SEED_TOPOLOGY + nodes)
    began = time.monotonic()
    assert len(load_topology(path, tokens=False).tiers[1].nodes) == 601
    assert time.monotonic() - began < 60


def _warnings(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "sando.toml"
    path.write_text(text)
    return warnings(load_topology(path, tokens=True))


B = '[[tier]]\nname = "b"\nprovisioned = true\n[[tier.node]]\nname = "n"\nssh_target = "local"\nrelease_root = "/b"\n'

FREEZE = '\n[[freeze]]\ntiers = ["a"]\n'


@pytest.mark.parametrize(
    "text, said",
    [
        (SEED_TOPOLOGY + B, ["tier b: n without a probe, and no boot_smoke gate"]),
        (SEED_TOPOLOGY + B + "probe = { tcp = 'h:1' }", []),
        (SEED_TOPOLOGY.replace('{ kind = "manual_confirm" },', "") + B + "probe = { tcp = 'h:1' }",
         ["tier b: reached without a wait; give tier a a burn_in or manual_confirm gate"]),
        (SEED_TOPOLOGY + "out = true", ["tier a: every node is left out"]),
        (SEED_TOPOLOGY.replace("[backup]\nsource", "# source").replace("local_path", "# local_path"),
         ["tier mm: migration_dry_run has no backup to restore; add [backup]"]),
        (SEED_TOPOLOGY.replace('{ kind = "cargo_test" },\n{ kind = "migration_dry_run" },\n{ kind = "boot_smoke" },', ""),
         ["tier mm: has no gates, so every build is green"]),
        (SEED_TOPOLOGY.replace("[backup]", "[backup]\nschedule = '24h'\nmax_age = '48h'"), []),
        (SEED_TOPOLOGY.replace("[backup]", "[backup]\nschedule = '2d'\nmax_age = '1d'"),
         ["backup: max_age is 1d, and a new backup comes every 2d: it is too old before; make schedule shorter"]),
        (SEED_TOPOLOGY.replace("[backup]", "[backup]\nschedule = '2d'").replace(
            '{ kind = "manual_confirm" },', '{ kind = "manual_confirm" }, { kind = "backup_fresh", max_age = "1h" },'),
         ["tier a: backup_fresh: max_age is 1h, and a new backup comes every 2d"]),
        (SEED_TOPOLOGY.replace("file:///tmp/sando-dev/fake-backup.sql", "ssh://u@h/x").replace(
            "[backup]", "[backup]\nidentity_file = '/gone/id'\nknown_hosts = '/gone/known'"),
         ["backup: identity_file /gone/id is not there", "backup: known_hosts /gone/known is not there"]),
        (SEED_TOPOLOGY + FREEZE + 'hours = "10:00-10:00"', ["tier a: the freezes leave no hour free, so nothing ever goes out"]),
        (SEED_TOPOLOGY + FREEZE + 'hours = "10:00-24:00"' + FREEZE + 'hours = "23:00-10:00"',
         ["tier a: the freezes leave no hour free"]),
        (SEED_TOPOLOGY + FREEZE + 'hours = "10:00-09:59"', []),
    ],
)  # fmt: skip
def test_a_bad_habit_is_worth_a_warning(text: str, said: list[str], tmp_path: Path) -> None:
    found = _warnings(tmp_path, text)
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True)), found


def test_a_program_to_notify_that_is_not_there_is_worth_a_warning(
    tmp_path: Path,
) -> None:
    path, topology = tmp_path / "daemon.toml", tmp_path / "sando.toml"
    topology.write_text(SEED_TOPOLOGY)
    notify = '\n[[notify]]\non = ["BuildFailed"]\nname = "{}"\ncommand = {}\n'
    words = ('["/gone/tell", "--all"]', '["no-such-program"]', '["sh", "-c", "x"]', '"/gone/tell --all"')
    path.write_text(
        SEED_DAEMON.replace("/tmp/sando-dev/sando.toml", str(topology))
        + "".join(notify.format(f"n{number}", word) for number, word in enumerate(words))
    )
    problems, found = check(path)
    assert problems == ()
    assert [line for line in found if line.startswith("notify")] == [
        f"notify {name}: its program {program} is not found, or may not be run; nothing would be told"
        for name, program in (("n0", "/gone/tell"), ("n1", "no-such-program"))
    ]


SNIPPETS = st.sampled_from(
    ["[", "]", "{", "}", '"', "'", "=", ".", ",", "\n", "#", "1", "-1", "inf", "nan", "true", "[[tier]]\n", "[[tier.node]]\n",
     "[tier]\n", "[repo]\n", "name = 'x'\n", "gates = 1\n", '"\\u0000"', "9" * 30, "0x" + "f" * 5000, "{ kind = 'command' }",
     "2026-01-01", "é", "\x1b", "[[]]", "{}", "'' = 1\n", '"""', "'''"],
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), SNIPPETS | st.text(max_size=4)), min_size=1, max_size=4
)


def _mutate(text: str, edits: list[tuple[float, int, str]]) -> bytes:
    for where, length, new in edits:
        at = int(where * len(text))
        text = text[:at] + new + text[at + length :]
    return text.encode("utf-8", "replace")


def _judge(path: Path) -> None:
    for load in (load_daemon, lambda path: load_topology(path, tokens=False, store="/srv")):
        try:
            spec = load(path)
        except ConfigError as refused:
            _are_lines(refused.problems, path)
            continue
        assert isinstance(spec, DaemonSpec | Topology)
        if isinstance(spec, Topology):
            warnings(spec)
    check(path)


def _are_lines(problems: tuple[str, ...], path: Path) -> None:
    assert problems
    assert all(line.startswith(str(path)) and "\n" not in line for line in problems)


@pytest.mark.campaign
@given(edits=EDITS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_of_a_good_topology_is_a_topology_or_a_config_error(
    edits: list[tuple[float, int, str]], tmp_path: Path, topology_text: str
) -> None:
    path = tmp_path / "sando.toml"
    path.write_bytes(_mutate(topology_text, edits))
    _judge(path)


@given(edits=EDITS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_of_a_good_daemon_file_is_a_spec_or_a_config_error(
    edits: list[tuple[float, int, str]], tmp_path: Path, daemon_text: str
) -> None:
    path = tmp_path / "daemon.toml"
    path.write_bytes(_mutate(daemon_text, edits))
    _judge(path)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
NODES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@pytest.mark.campaign
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_place_is_judged(data: st.DataObject) -> None:
    """The same without the syntax: each key of a good file takes any value that TOML has."""
    import tomlkit

    from sando.config.daemon import read_daemon
    from sando.config.document import Document
    from sando.config.topology import read_topology

    for text in (SEED_DAEMON, SEED_TOPOLOGY):
        values = tomlkit.parse(text).unwrap()
        _replace(values, data)
        document = Document("f", "", values)
        if text is SEED_DAEMON:
            read_daemon(document)
        else:
            read_topology(document, tokens=False, store="/s")
        document.problems()


def _replace(values: dict[str, object], data: st.DataObject) -> None:
    here: object = values
    while isinstance(here, dict | list) and here:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.booleans()) or not isinstance(here[key], dict | list):
            here[key] = data.draw(NODES)
            return
        here = here[key]
