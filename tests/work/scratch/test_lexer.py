"""The lexer reads as psql does: quotes hide what is in them and nothing else, wherever the text is cut in pieces."""

import itertools
import random
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.work.scratch.judge import Fate, Unreadable
from sando.work.scratch.lexer import Lexer

COPY = re.compile(rb"copy\s+t\s+from\s+stdin\s*;", re.IGNORECASE)


class Watcher:
    """Keeps all, and notes what it was told."""

    def __init__(self, leave_out=lambda _: False, wanted=lambda _: True):
        self.statements, self.comments, self.commands = [], [], []
        self.leave_out, self.wanted = leave_out, wanted

    def wants(self, word):
        return self.wanted(word)

    def comment(self, text):
        self.comments.append(text)

    def command(self, text, line):
        self.commands.append((text, line))

    def statement(self, text, line):
        self.statements.append((text, line))
        if COPY.fullmatch(text):
            return Fate.DATA
        return Fate.LEAVE_OUT if self.leave_out(text) else Fate.KEEP


def read(*pieces, **options):
    """What goes on, and what the judge was told; or the error as text."""
    judge = Watcher(**options)
    lexer = Lexer(judge)
    try:
        out = b"".join(lexer.feed(piece) for piece in pieces) + lexer.end()
    except Unreadable as error:
        return str(error), judge
    return out, judge


def lines(text, **options):
    return [line for _, line in read(text, **options)[1].statements]


# -- examples ----------------------------------------------------------------------------------------------------------

HIDDEN = [
    b"'\\! rm'", b"'it''s \\! rm'", b"E'\\\\ \\' \\! rm'", b"e'\\\\'", b"$$ \\! rm ' $$", b"$a_1$ $$ \\! $a$ $a_1$", b'"\\! rm"',
    b'"a""\\b"', b"/* \\! /* nested */ \\! */ 1", b"-- \\! rm\n 1", b"-- \\! rm\r 1", b"U&'\\0041'", b"B'0\\'", b"N'\\'",
    b"'a'\n'\\'", b"$\xc3\xa9$ \\ $\xc3\xa9$", b"'\n\\! rm\n'", b"a$b$ '\\'", b"'a' -- \\\n'\\'",
]  # fmt: skip


@pytest.mark.parametrize("text", HIDDEN)
def test_a_backslash_in_quotes_and_comments_is_no_command(text):
    out, judge = read(b"SELECT " + text + b";\n")
    assert out == b"SELECT " + text + b";\n"
    assert len(judge.statements) == 1


@pytest.mark.parametrize("text", HIDDEN)
def test_a_command_behind_any_quotes_is_found(text):
    out, _ = read(b"SELECT " + text + b"\n \\! rm\n")
    assert out == f"line {2 + text.count(10)}: `\\! rm` is a command to psql, not SQL"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"\\! rm", 1), (b"select 1 \\g /x\n", 1), (b"\n\nselect 1; \\! rm\n", 3), (b"select 'a'\\'b'", 1), (b"\\\\", 1),
        (b"select $$ $$ \\\n", 1), (b"select e'\\'' \\", 1), (b"select 1 \\; select 2;", 1), (b"'\n'\\", 2), (b" \\restrict a\n", 1),
        (b"copy t from stdin;\na\n\\.\n/* */ \\! rm\n", 4), (b"create function f() begin atomic select 1; \\! rm\n end;", 1),
    ],
)  # fmt: skip
def test_a_command_outside_of_quotes_is_refused_with_its_line(text, line):
    out, judge = read(text)
    if judge.commands:
        assert judge.commands == [(text.strip(), line)]
    else:
        assert out.startswith(f"line {line}: `\\")


@pytest.mark.parametrize(
    "text",
    [
        b"E'a'\n'\\'", b"E'a' -- x\n  '\\'", b"e'a'\r'b'",  # psql ends the string at the line, the server does not
        b"1e'\\'", b"0x1f$a$", b"$1a$b$", b"1a'", b":e'\\'", b":a$b$", b":1'",
    ],
)  # fmt: skip
def test_what_psql_and_the_server_or_its_versions_read_in_different_ways_is_refused(text):
    out, _ = read(b"SELECT " + text + b" 1;\n")
    assert isinstance(out, str), out
    assert "psql" in out


@pytest.mark.parametrize(
    "text",
    [
        b"a::e'x'",
        b"a[1:n]",
        b"a[:2]",
        b":'x'",
        b':"x"',
        b"1e5",
        b"1.5e-3",
        b"x'1f'",
        b"$1",
        b"a$1",
        b"$",
        b":=",
        b"1'x'",
    ],
)
def test_what_only_looks_like_it_is_taken(text):
    assert read(b"SELECT " + text + b" ;")[0] == b"SELECT " + text + b" ;"


def test_the_data_of_a_copy_go_on_as_they_are():
    text = b"COPY t FROM stdin;\n\\N\t'\t\"\t$$\t/*\\\\\n\\.x\n;\n\\.\nSELECT 1;\n"
    out, judge = read(text)
    assert out == text
    assert [line for _, line in judge.statements] == [1, 6]


@pytest.mark.parametrize(
    "text", [b"copy t from stdin;\n\\.\nselect 1;", b"copy t from stdin;\r\na\r\n\\.\r\nselect 1;"]
)
def test_copy_data_may_be_empty_and_have_lines_of_dos(text):
    assert read(text)[0] == text


def test_what_stands_behind_a_copy_in_its_line_is_refused():
    assert (
        read(b"copy t from stdin; select 1;\n\\.\n")[0]
        == "line 1: something stands behind a COPY whose data follow"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"select 'a", "a quoted string"), (b"select e'a\\'", "a quoted string"), (b"select e'a", "a quoted string"), (b'"a', "a quoted name"),
        (b"do $x$ begin", "a text in dollar quotes"), (b"/* /* */", "a comment"), (b"copy t from stdin;\na\n\\", "the data of a COPY"),
        (b"copy t from stdin;", "the data of a COPY"),
    ],
)  # fmt: skip
def test_a_text_that_ends_inside_of_something_says_of_what(text, what):
    assert read(b"\n" + text)[0] == f"line 2: it ends inside {what} that begins here"


def test_a_nul_byte_is_refused_with_its_line():
    assert read(b"select 1;\nselect '\0';")[0] == "line 2: has a NUL byte: this is no SQL"
    assert read(b"select 1;\n", b"a\n\0")[0] == "line 3: has a NUL byte: this is no SQL"


def test_statements_end_at_semicolons_that_stand_in_nothing():
    text = b"a (1; 2); b ';'; c $$;$$; d /*;*/; e --;\n; f\n"
    assert [s.strip() for s, _ in read(text)[1].statements] == [
        b"a (1; 2);", b"b ';';", b"c $$;$$;", b"d /*;*/;", b"e --;\n;", b"f"
    ]  # fmt: skip


def test_the_body_of_a_routine_may_hold_statements():
    body = b"BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END"
    for head in (b"CREATE FUNCTION f() ", b"create or replace procedure p() "):
        assert len(read(head + body + b"; SELECT 3;")[1].statements) == 2
    assert len(read(b"CREATE TABLE begin (a int); SELECT 1;")[1].statements) == 2


def test_statements_know_their_lines_and_comments_are_told():
    text = b"-- one\n\nselect 1;\n/* two\n */ select\n2; select 3;\n--\n"
    assert lines(text) == [3, 5, 6]
    assert read(text)[1].comments == [b"-- one", b"--"]


def test_what_is_left_out_leaves_its_lines():
    text = b"select 1;\ngrant\n all\n to you; select 2;\n\\restrict abc\nselect 3;"
    out, judge = read(text, leave_out=lambda s: s.startswith(b"grant"))
    assert out == b"select 1;\n\n\n select 2;\n\nselect 3;"
    assert judge.commands == [(b"\\restrict abc", 5)]


def test_a_statement_that_nobody_wants_is_not_kept_in_memory():
    lexer = Lexer(Watcher(wanted=lambda word: word == b"grant"))
    assert lexer.feed(b"insert into t values ('") == b"insert into t values ('"
    for _ in range(3):
        assert len(lexer.feed(b"x" * 2**20)) == 2**20
    assert lexer.feed(b"');") == b"');"
    assert lexer.feed(b"grant all") == b""


def test_a_statement_without_an_end_is_refused_before_it_fills_the_memory():
    out, _ = read(*([b"select 1, " * 2**16] * 40))
    assert out == "line 1: no end within 16 MiB: this is no SQL"


# -- properties --------------------------------------------------------------------------------------------------------

FRAGMENTS = [
    b"'", b"''", b'"', b"\\", b"\\'", b"\\\\", b"e'", b"E'", b"'\n'", b"$", b"$$", b"$a$", b"$b$", b"$1", b"a$", b"1", b"1e", b"1a",
    b"--", b"-", b"/*", b"*/", b"/", b"*", b"\n", b"\r", b"\r\n", b" ", b"\t", b";", b"(", b")", b"select", b"a", b"u&'", b"b'",
    b"create function f", b"create or replace procedure", b"begin", b"end", b"case", b"begin atomic", b"copy t from stdin;\n",
    b"copy t from stdin;\nrow\n\\.\n", b"\n\\.\n", b":", b"::", b":x", b":'x'", b"\xc3\xa9", b"_", b"\f", b"\v", b"grant all;",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map(b"".join)


@given(TEXTS, st.lists(st.integers(0, 200), max_size=6))
def test_where_a_text_is_cut_in_pieces_changes_nothing(text, cuts):
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    (whole, one), (cut, other) = (
        read(*parts, leave_out=lambda s: s.startswith(b"grant")) for parts in ([text], pieces)
    )
    assert whole == cut
    if isinstance(whole, bytes):
        assert (one.statements, one.comments) == (other.statements, other.comments)


@given(TEXTS)
def test_byte_by_byte_reads_the_same(text):
    assert read(text)[0] == read(*(text[i : i + 1] for i in range(len(text))))[0]


@given(TEXTS)
def test_what_is_not_left_out_goes_on_byte_by_byte(text):
    out, judge = read(text)
    if isinstance(out, bytes) and not judge.commands:
        assert out == text


@given(TEXTS)
def test_line_numbers_stay_true_whatever_is_left_out(text):
    out, _ = read(text, leave_out=lambda _: True)
    if isinstance(out, bytes):
        assert out.count(b"\n") == text.count(b"\n")


def quoted(text, way):
    """The text in quotes of some kind, so that it is nothing but a text."""
    match way:
        case "string":
            return b"'" + text.replace(b"'", b"''") + b"'"
        case "escape":
            return b"E'" + text.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"
        case "doubled escape":
            return b"e'" + text.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'"
        case "name":
            return b'"' + text.replace(b'"', b'""') + b'"'
        case "dollar":
            return b"$quote$" + text.replace(b"$quote$", b"") + b"$quote$"
        case "comment":
            return b"/*" + text.replace(b"*", b"").replace(b"/", b"") + b"*/1"
        case "line":
            return b"--" + text.replace(b"\n", b"").replace(b"\r", b"") + b"\n1"


WAYS = st.sampled_from(["string", "escape", "doubled escape", "name", "dollar", "comment", "line"])


@given(st.lists(st.tuples(TEXTS, WAYS), min_size=1, max_size=4))
def test_no_text_in_quotes_is_taken_for_a_command_and_none_hides_one(parts):
    text = b"SELECT " + b", ".join(quoted(part, way) for part, way in parts)
    assert read(text + b";\n")[0] == text + b";\n"
    out, _ = read(text + b" \\! rm\n")
    assert isinstance(out, str)
    assert "`\\! rm` is a command" in out


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"")))
def test_rows_hide_no_command_behind_their_end(rows):
    rows = re.sub(rb"(^|\n)\\\.(?=\r?\n|$)", b"", rows)
    text = b"copy t from stdin;\n" + rows + b"\n\\.\n"
    assert read(text)[0] == text
    assert isinstance(read(text + b"select 1 \\! rm\n")[0], str)


# -- psql itself -------------------------------------------------------------------------------------------------------


def hostile(rng):
    """Quotes with a command inside, or nearly so: about a fifth of them the lexer lets pass."""
    pairs = [
        ("'", "'"), ("e'", "'"), ('"', '"'), ("$$", "$$"), ("$a$", "$a$"), ("/*", "*/"), ("--", "\n"), ("copy t from stdin;\n", "\n\\.\n"),
        ("u&'", "'"), ("E'a'\n'\\'", "'"), ("create function f() begin atomic ", "; end;"), ("(", ")"), ("e'\\'", "'"),
    ]  # fmt: skip
    fragments = [fragment.decode() for fragment in FRAGMENTS]
    parts = []
    for _ in range(rng.randint(1, 4)):
        begin, end = rng.choice(pairs)
        inner = [rng.choice(fragments) for _ in range(rng.randint(0, 4))]
        inner.insert(rng.randint(0, len(inner)), "\n\\echo HIT\n" if rng.random() < 0.7 else "")
        parts += [*(rng.choice(fragments) for _ in range(rng.randint(0, 2))), begin, *inner, end]
    parts.append(rng.choice(["", ";", "\n", ";\n"]))
    if rng.random() < 0.5:
        del parts[rng.randint(0, len(parts) - 1)]
    return "".join(parts)


def passes(text):
    out, judge = read(text.encode())
    return isinstance(out, bytes) and not judge.commands


@pytest.mark.parametrize("seed", range(4))
def test_psql_runs_no_command_of_what_the_lexer_lets_pass(server, tmp_path, seed):
    rng = random.Random(seed)
    texts = [hostile(rng) for _ in range(200)]
    passed = [text for text in texts if passes(text)]
    assert len(passed) > 15
    words = ["-c", "CREATE TEMP TABLE t (a text)"]
    for number, text in enumerate(passed):
        (tmp_path / f"{number}.sql").write_text(text, newline="")
        words += ["-c", "ROLLBACK", "-f", str(tmp_path / f"{number}.sql")]
    done = subprocess.run(
        [server.programs.path("psql"), "-Xq", "-o", "/dev/null", *words],
        env=server.env(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert b"HIT" not in done.stdout
