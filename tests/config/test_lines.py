"""Line numbers: every key of a text stands where the scanner says."""

import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from sando.config.lines import Path, line_of, locate

TEXT = '''\
top = 1

[table]
a = """
[not.a.header]
"""
"quoted \\u0041" = 'x'
dotted.in.here = 3
[[tier]]
name = "mm"   # [[tier]]
gates = [
  { kind = "x" },
  # { kind = "comment" }
  { kind = "y", probe = { http = "u, }" },
    last = true },
]
[[tier]]
name = "a"
[[tier.node]]
name = "n1"
[[tier.node]]
name = "n2"
env.A = [ [1, 2],
  [3] ]
[tier.extra]
k = 07:32:00
[[freeze]]
days = []
[[tier]]
name = "third"
[deep.er]
x.y = 1.5
'''


def test_each_key_is_found_on_its_line() -> None:
    lines = locate(TEXT)
    expected: dict[Path, int] = {
        ("top",): 1,
        ("table",): 3,
        ("table", "a"): 4,
        ("table", "quoted A"): 7,
        ("table", "dotted", "in", "here"): 8,
        ("tier", 0): 9,
        ("tier", 0, "gates"): 11,
        ("tier", 0, "gates", 0, "kind"): 12,
        ("tier", 0, "gates", 1, "probe", "http"): 14,
        ("tier", 0, "gates", 1, "last"): 15,
        ("tier", 1, "name"): 18,
        ("tier", 1, "node", 0, "name"): 20,
        ("tier", 1, "node", 1): 21,
        ("tier", 1, "node", 1, "name"): 22,
        ("tier", 1, "node", 1, "env", "A", 1, 0): 24,
        ("tier", 1, "extra", "k"): 26,
        ("freeze", 0, "days"): 28,
        ("tier", 2, "name"): 30,
        ("deep", "er", "x", "y"): 32,
    }
    assert {path: lines.get(path) for path in expected} == expected


def test_a_missing_key_has_the_line_of_the_table_around_it() -> None:
    lines = locate(TEXT)
    assert line_of(lines, ("tier", 1, "canary")) == 17
    assert line_of(lines, ("nothing",)) == 1


def _paths(value: object, path: Path = ()) -> set[Path]:
    found = {path} if path else set()
    if isinstance(value, dict):
        return found.union(*(_paths(item, (*path, key)) for key, item in value.items()))
    if isinstance(value, list):
        return found.union(*(_paths(item, (*path, index)) for index, item in enumerate(value)))
    return found


def test_windows_line_ends_count_as_one() -> None:
    assert locate("a = 1\r\n[b]\r\nc = 2\r\n")[("b", "c")] == 3


KEYS = st.sampled_from(["a", "b", "'q k'", '"\\u0041"', "1", "a-b", "a.b", 'b."c.d"'])
SCALARS = st.sampled_from(
    ["1", "1.5", "true", '"]"', "'}'", '"""\n[x]\n"""', "'''\n\"'''", "07:32:00", "-inf", '"#"']
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",\n # ]\n".join(items) + "\n]")
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        )
    ),
    max_leaves=8,
)
STATEMENTS = (
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}")
    | KEYS.map(lambda key: f"[{key}]")
    | KEYS.map(lambda key: f"[[ {key} ]] # c")
    | st.just("# comment = [")
)


def _grow(statements: list[str]) -> str:
    """As many of the statements as make a valid document."""
    text = ""
    for statement in statements:
        try:
            tomlkit.parse(text + statement + "\n").unwrap()
        except (ValueError, tomlkit.exceptions.TOMLKitError):
            continue
        text += statement + "\n"
    return text


@given(st.lists(STATEMENTS, max_size=12))
def test_every_path_of_any_document_has_a_line(statements: list[str]) -> None:
    text = _grow(statements)
    lines = locate(text)
    assert _paths(tomlkit.parse(text).unwrap()) == set(lines)
    assert all(1 <= line <= text.count("\n") for line in lines.values())


@given(st.text(alphabet="[]{}=,.\"'#ab1\\ \n", max_size=60))
def test_a_text_that_is_no_toml_does_not_break_the_scan(text: str) -> None:
    locate(text)
