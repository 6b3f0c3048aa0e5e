"""The URL of the scratch database names one database of one server, or is refused; no text quotes its password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.scratch import ScratchUrl, scratch_of


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgres://you@127.0.0.1/sando_scratch", ("you", "", "127.0.0.1", 5432, "sando_scratch", "prefer", 10)),
        ("postgresql://u:p%40%3a@DB.example:6000/x?sslmode=require&connect_timeout=3",
         ("u", "p@:", "db.example", 6000, "x", "require", 3)),
        ("postgres://[::1]/a.b-c", ("", "", "::1", 5432, "a.b-c", "prefer", 10)),
        ("postgres:///x", ("", "", "", 5432, "x", "prefer", 10)),
        ("postgres://%2Frun%2Fpostgresql:5433/x?", ("", "", "/run/postgresql", 5433, "x", "prefer", 10)),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(url, found):
    assert scratch_of(url) == ScratchUrl(*found)


REFUSED = [
    "", "scratch", "dbname=prod", "service=prod", "mysql://h/x", "postgres:x", "POSTGRES://h/x", "postgres://h", "postgres://h/",
    "postgres:///", "postgres://h/postgres", "postgres://h/%70ostgres", "postgres://h/template0", "postgres://h/template1",
    "postgres://h/a/b", "postgres://h/a%2Fb", "postgres://h/a=b", "postgres://h/-x", "postgres://h/postgres:%2F%2Fprod", "postgres://h/%00",
    "postgres://h/x%0a", "postgres://h/%ff", "postgres://h/a%zz", "postgres://h/x#y", "postgres://h/x y", "postgres://h/x\n",
    "postgres://h/x?dbname=prod", "postgres://h/x?host=prod", "postgres://h/x?hostaddr=10.0.0.1", "postgres://h/x?service=prod",
    "postgres://h/x?servicefile=/x", "postgres://h/x?options=-csearch_path%3Dprod", "postgres://h/x?user=postgres", "postgres://h/x?password=x",
    "postgres://h/x?passfile=/x", "postgres://h/x?port=1", "postgres://h/x?sslrootcert=/x", "postgres://h/x?target_session_attrs=any",
    "postgres://h/x?%64bname=prod", "postgres://h/x?sslmode=require&sslmode=disable", "postgres://h/x?sslmode=require&dbname=prod",
    "postgres://h/x?sslmode=", "postgres://h/x?sslmode=REQUIRE", "postgres://h/x?connect_timeout=0", "postgres://h/x?connect_timeout=x",
    "postgres://h/x?sslmode", "postgres://h1,h2/x", "postgres://h1:1,h2:2/x", "postgres://h%2Cprod/x", "postgres://%2Frun%2Cprod/x",
    "postgres://%2Frun%2F..%2Fx/x", "postgres://@@h/x", "postgres://u:p:q@h/x", "postgres://h:0/x", "postgres://h:99999/x", "postgres://h:/x",
    "postgres://127.1/x", "postgres://0x7f000001/x", "postgres://[::1/x", "postgres://[h]/x", "postgres://-h/x", "postgres://%40abstract/x",
    "postgres://ä/x", "postgres://u%00@h/x", "postgres://h/x?sslmode=require;dbname=prod", "postgres://h/" + "x" * 64,
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_what_could_mean_another_database_is_refused(url):
    with pytest.raises(ValueError):
        scratch_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:s3cret@h1,h2/x",
        "postgres://u:s3cret@h/postgres",
        "postgres://u:s3cret%zz@h/x",
        "mysql://u:s3cret@h/x",
    ],
)
def test_no_text_quotes_the_password(url):
    with pytest.raises(ValueError) as caught:
        scratch_of(url)
    assert "s3cret" not in str(caught.value)


def test_it_is_shown_without_its_password():
    found = scratch_of("postgres://u:s3cret@h:6000/x?sslmode=require")
    assert str(found) == repr(found) == "postgres://u@h:6000/x"
    assert str(scratch_of("postgres://%2Frun/x")) == "postgres://%2Frun/x"


@given(st.text(max_size=40) | st.from_regex(r"postgres://[a-z@:%/\[\],?=&.0-9]{0,40}", fullmatch=True))
def test_any_text_is_taken_or_refused(text):
    try:
        found = scratch_of(text)
    except ValueError:
        return
    assert found.database not in {"", "postgres", "template0", "template1"}
    assert "," not in found.host
