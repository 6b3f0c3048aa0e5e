"""Single values: what is taken, and what is refused with which words."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.config import addresses, values
from sando.config.values import Bad


@pytest.mark.parametrize(
    "written, seconds",
    [
        ("30m", 1800), ("48h", 172800), ("0s", 0), ("1h30m", 5400), ("2d", 172800), ("500ms", 0.5), (90, 90),
        ("1d2h3m4s5ms", 93784.005), ("3660d", 3660 * 86400), (0, 0),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_seconds(written: object, seconds: float) -> None:
    assert values.duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    ["", " ", "-5m", "5", "5 m", "1m1h", "m", "1.5h", "1w", "١m", "9999999999s", "3661d", -1, 2**70, True, 1.5,
     float("inf"), float("nan"), [], {}],
)  # fmt: skip
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(Bad):
        values.duration(written)


def test_a_timeout_of_zero_is_refused() -> None:
    with pytest.raises(Bad, match="longer than zero"):
        values.positive("0s")


@pytest.mark.parametrize("written", ["make", "a\nb", "a\tb"])
def test_a_string_is_a_command(written: str) -> None:
    assert values.command(written) == written


def test_a_list_of_strings_is_a_command() -> None:
    assert values.command(["sh", "-c", ""]) == ("sh", "-c", "")


@pytest.mark.parametrize(
    "written", ["", " ", [], [""], ["a", 1], [["a"]], 1, True, "a\0b", ["a", "\x1b"], {}]
)
def test_what_is_no_command_is_refused(written: object) -> None:
    with pytest.raises(Bad):
        values.command(written)


@pytest.mark.parametrize("written", ["a", "", "./a", "/", "//", "/a/../b", "~/a", "/a\nb", 1])
def test_what_is_no_absolute_path_is_refused(written: object) -> None:
    with pytest.raises(Bad):
        values.folder(written)


def test_an_absolute_path_is_kept_in_its_plain_form() -> None:
    assert values.folder("//srv//app/./x/") == "/srv/app/x"


@pytest.mark.parametrize("written", ["/a", "..", "a/../b", "-a", "", "a\0"])
def test_what_is_no_relative_path_is_refused(written: str) -> None:
    with pytest.raises(Bad):
        values.relative(written)


BRANCHES = [
    "main", "release/1.0", "a.b", "a@b", "a{b", "ä", "a-b", "-a", "a/-b", "a..b", "a.", ".a", "a/.b", "a/", "/a",
    "a//b", "a.lock", "a.lock/b", "a@{b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a]b", "a\\b", "a\x7fb",
    "a\tb", "A.LOCK", "@a",
]  # fmt: skip


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_is_judged_as_git_judges_it(name: str, tmp_path: Path) -> None:
    git = subprocess.run(
        ["git", "check-ref-format", "--branch", name], cwd=tmp_path, capture_output=True, check=False
    )
    assert values.is_branch(name) == (git.returncode == 0)


@pytest.mark.parametrize("name", ["", "@", "HEAD"])
def test_a_name_that_git_reads_as_something_else_is_no_branch(name: str) -> None:
    assert not values.is_branch(name)


@pytest.mark.parametrize(
    "target",
    ["local", "deploy@prod-1.example:22", "a@h", "a@10.0.0.1", "a@[::1]:2222", "_x.y-z@1host.example"],
)
def test_a_node_is_reached_by_a_plain_target(target: str) -> None:
    assert addresses.ssh_target(target) == target


@pytest.mark.parametrize(
    "target",
    ["", "Local", "host", "deploy@", "@host", "-oProxyCommand=x@host", "a@-host", "a@h:0", "a@h:65536", "a@h:",
     "a@h:x", "a@h:22:22", "a@::1", "a@[::1", "a@[1.2.3.4]", "a@1.2.3", "a@1.2.3.999", "a@h -oX", "a;b@h", "a@h\n",
     "a@%h", "a@h_x", "a@h.", "a@b@h", "A@h", "a@[fe80::1%eth0]", "a@" + "x" * 64, "a" * 33 + "@h", 5],
)  # fmt: skip
def test_a_target_that_could_mean_something_else_is_refused(target: object) -> None:
    with pytest.raises(Bad):
        addresses.ssh_target(target)


def test_the_same_machine_is_known_by_host_and_port() -> None:
    assert addresses.machine("a@PROD:22") == addresses.machine("b@prod")
    assert addresses.machine("a@[0:0::1]") == addresses.machine("a@[::1]:22")
    assert addresses.machine("a@prod:23") != addresses.machine("a@prod")


@pytest.mark.parametrize(
    "source",
    ["file:///a/b.sql", "file:///home/my user/b.sql", "rsync://h/module/path", "rsync://h:873/m/a/b",
     "ssh://u@h/abs", "ssh://u@h:22/var/backups/mnw.sql", "ssh://u@[::1]:22/x"],
)  # fmt: skip
def test_a_backup_source_of_the_three_forms_is_taken(source: str) -> None:
    assert addresses.backup_source(source) == source


@pytest.mark.parametrize(
    "source",
    ["", "/a", "file://a", "file://host/a", "file:///", "file:////a", "file:///a/../b", "file:///a?x", "file:///a#x",
     "file:///a\nb", "file:///a%2e", "FILE:///a", "ext::sh -c x", "http://h/a", "rsync://h/module", "rsync://h/m/",
     "rsync://-h/m/p", "rsync://h/-m/p", "rsync://u@h/m/p", "rsync:///m/p", "rsync://h:0/m/p", "rsync://h/m/p a",
     "ssh://h/p", "ssh://-oX@h/p", "ssh://u@-h/p", "ssh://u:pw@h/p", "ssh://u@h", "ssh://u@h/", "ssh://u@h:99999/p",
     "ssh://u@h/$(id)", "ssh://u@h/a;b", "ssh://u@h//a", "ssh://u@h/a b", 1],
)  # fmt: skip
def test_a_backup_source_that_could_mean_something_else_is_refused(source: object) -> None:
    with pytest.raises(Bad):
        addresses.backup_source(source)


@pytest.mark.parametrize("source", ["ssh://u:s3cret@h/p", "rsync://u:s3cret@h/m/p"])
def test_a_password_in_a_backup_source_is_never_quoted(source: str) -> None:
    with pytest.raises(Bad) as bad:
        addresses.backup_source(source)
    assert "s3cret" not in str(bad.value)


@pytest.mark.parametrize(
    "url",
    ["postgres://you@127.0.0.1/scratch", "postgresql://u:p@h:5432/db?sslmode=require&connect_timeout=3",
     "postgres:///db", "postgres://%2Fvar%2Frun/db", "postgres://u@/db"],
)  # fmt: skip
def test_a_scratch_url_is_taken(url: str) -> None:
    assert addresses.scratch_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "mysql://h/db", "postgres:db", "postgres://h", "postgres://h/", "postgres://h/a/b", "postgres://h/db?host=x",
     "postgres://h/db?sslmode=x", "postgres://h/db?sslmode=require&sslmode=disable", "postgres://h/db?connect_timeout=x",
     "postgres://u:s3cret@h/db?service=x", "postgres://u:s3cret@h1,h2/db", "postgres://h:x/db", "postgres://h/db#x", "postgres://[/db",
     "postgres://h/d b", "postgres://-h/db", 1],
)  # fmt: skip
def test_a_scratch_url_that_reaches_further_is_refused_without_its_password(url: object) -> None:
    with pytest.raises(Bad) as bad:
        addresses.scratch_url(url)
    assert "s3cret" not in str(bad.value)


@pytest.mark.parametrize(
    "url", ["http://h", "https://h:8443/a?b=c", "http://[::1]:80/", "http://127.0.0.1:8080/h"]
)
def test_a_web_url_is_taken(url: str) -> None:
    assert addresses.web_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "h", "ftp://h", "http://", "http:///a", "http://h:0/", "http://h:x/", "http://h:/", "http://[::1", "http://h a",
     "http://-h/", "http://h:{port}/", "http://ä/", "file:///a"],
)  # fmt: skip
def test_what_is_no_web_url_is_refused(url: str) -> None:
    with pytest.raises(Bad):
        addresses.web_url(url)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_recognised(name: str) -> None:
    assert addresses.is_loopback(name)


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "localhost.example", "10.0.0.1"])
def test_what_others_can_reach_is_not_loopback(name: str) -> None:
    assert not addresses.is_loopback(name)


ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=3)
)
PARSERS = [
    values.duration, values.command, values.folder, values.relative, values.branch, values.environment,
    values.tier_name, addresses.ssh_target, addresses.backup_source, addresses.scratch_url, addresses.web_url,
    addresses.tcp, addresses.plain_host, values.between(1, 5),
]  # fmt: skip


@given(ANYTHING | st.from_regex(r"(file|ssh|rsync|http|postgres)://[a-z@:\[\]/%?#.-]{0,20}"))
def test_a_parser_returns_or_says_what_is_bad(value: object) -> None:
    for parse in PARSERS:
        found: list[tuple[object, str]] = []
        try:
            parse(value)
        except Bad as bad:
            found = [*bad.found]
        assert all(said for _, said in found)
