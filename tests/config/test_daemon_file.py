"""daemon.toml: every key, every refusal, and the place that each problem names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sando.config import load_daemon
from sando.model.topology import DaemonSpec, NotifySpec, TokenSpec

Problems = Callable[..., tuple[str, ...]]

SHA = "a" * 64
MINIMAL = """\
listen = "127.0.0.1:7766"
db_path = "/s/sando.db"
topology_path = "/s/sando.toml"
workdir = "/s/work"
release_root = "/s/releases"
"""


def test_every_key_of_the_daemon_file_arrives(tmp_path: Path, daemon_text: str) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(daemon_text)
    assert load_daemon(path) == DaemonSpec(
        host="127.0.0.1",
        port=7766,
        db_path="/var/lib/sando/sando.db",
        topology_path="/etc/sando/sando.toml",
        workdir="/var/lib/sando/work",
        release_root="/var/lib/sando/releases",
        scratch_db_url="postgres://you@127.0.0.1/sando_scratch?sslmode=disable&connect_timeout=5",
        allowed_hosts=("sando.example", "100.64.0.1"),
        log_format="json",
        tokens=(TokenSpec("max", "operate", SHA),),
        notify=(
            NotifySpec("webhook-5d675d", ("BuildFailed", "DeployFailed"), url="https://chat.example/hook"),
            NotifySpec(
                "pager",
                ("*",),
                url="https://someone:pass@pager.example/hook?key=1",
                secret="0123456789abcdef",
            ),
            NotifySpec("command-1b2faf", ("Rollback",), command=("logger", "sando")),
        ),
    )


def test_an_empty_file_says_every_key_that_is_missing_with_an_example(daemon_problems: Problems) -> None:
    found = daemon_problems("")
    assert found[0] == 'daemon.toml:1: listen: missing; add listen = "127.0.0.1:7766"'
    assert [line.split(": ")[1] for line in found] == [
        "listen", "db_path", "topology_path", "workdir", "release_root",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "extra, said",
    [
        ('listn = "x"', "daemon.toml:6: listn: unknown key; did you mean 'listen'?"),
        ("zzz = 1", "daemon.toml:6: zzz: unknown key; valid keys: listen, db_path"),
        ('log_format = "jsn"', "daemon.toml:6: log_format: unknown value 'jsn'; did you mean 'json'?"),
        ("allow_anonymous = 1", "daemon.toml:6: allow_anonymous: is an integer, must be true or false"),
        ('allowed_hosts = ["ok", "a:80"]', "daemon.toml:6: allowed_hosts[1]: has 'a:80', no host name"),
        ('allowed_hosts = "x"', "daemon.toml:6: allowed_hosts: is a string, must be a list"),
        ('scratch_db_url = "mysql://x/y"', "daemon.toml:6: scratch_db_url: is no PostgreSQL URL"),
        ('[[token]]\nname = "a b"\nscope = "read"\nsha256 = "' + SHA + '"', "daemon.toml:7: token.a b.name: is 'a b'"),
        ('[[token]]\nname = "a"\nscope = "oprate"\nsha256 = "' + SHA + '"',
         "daemon.toml:8: token.a.scope: unknown scope 'oprate'; did you mean 'operate'?"),
        ('[[token]]\nname = "a"\nscope = "read"\nsha256 = "aa"', "daemon.toml:9: token.a.sha256: is no SHA-256"),
        ('token = "a"', "daemon.toml:6: token: is a string, must be a list of tables"),
        ("[token]", "daemon.toml:6: token: is a table, must be a list of tables"),
        ('[[notify]]\non = ["BuildFaild"]\nurl = "http://h/"',
         "daemon.toml:7: notify[0].on[0]: unknown event type 'BuildFaild'; did you mean 'BuildFailed'?"),
        ('[[notify]]\non = ["Locked"]', "daemon.toml:6: notify[0]: needs exactly one of url, command, has none"),
        ('[[notify]]\non = ["Locked"]\nurl = "http://h/"\ncommand = "x"',
         "daemon.toml:6: notify[0]: needs exactly one of url, command, has url and command"),
        ('[[notify]]\non = []\nurl = "http://h/"', "daemon.toml:7: notify[0].on: is an empty list"),
        ('[[notify]]\nurl = "http://h/"', "daemon.toml:6: notify[0].on: missing; add on = ["),
        ('[[notify]]\non = ["Locked"]\nurl = "h"', "daemon.toml:8: notify[0].url: is no http or https URL"),
        ('[[notify]]\non = ["Locked"]\nurl = "http://h/"\nname = "A b"', "daemon.toml:9: notify.A b.name: is 'A b', no notifier"),
        ('[[notify]]\non = ["Locked"]\nurl = "http://h/"\nsecret = "short-one"',
         "daemon.toml:9: notify[0].secret: is shorter than 16 characters"),
        ('[[notify]]\non = ["Locked"]\nurl = "http://h/"\nsecret = 5', "daemon.toml:9: notify[0].secret: is no text"),
        ('[[notify]]\non = ["Locked"]\ncommand = "x"\nsecret = "0123456789abcdef"',
         "daemon.toml:9: notify[0].secret: signs what is sent to a url"),
        ('[[token]]\nname = "hook"\nscope = "read"\nsha256 = "' + SHA + '"', "daemon.toml:7: token.hook.name: is 'hook', no token"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_told_with_its_line(extra: str, said: str, daemon_problems: Problems) -> None:
    (found,) = daemon_problems(MINIMAL + extra)
    assert found.startswith(said)


def test_a_mistyped_key_that_is_needed_is_told_as_both(daemon_problems: Problems) -> None:
    found = daemon_problems(MINIMAL + f'[[token]]\nname = "a"\nscop = "read"\nsha256 = "{SHA}"')
    assert found == (
        'daemon.toml:6: token.a.scope: missing; add scope = "read", "build" or "operate"',
        "daemon.toml:8: token.a.scop: unknown key of a token; did you mean 'scope'?",
    )


def test_two_tokens_of_one_name_or_hash_are_refused(daemon_problems: Problems) -> None:
    token = f'[[token]]\nname = "a"\nscope = "read"\nsha256 = "{SHA}"\n'
    found = daemon_problems(MINIMAL + token + token)
    assert [line.split(": ")[:2] for line in found] == [
        ["daemon.toml:11", "token.a.name"],
        ["daemon.toml:13", "token.a.sha256"],
    ]


@pytest.mark.parametrize(
    "listen",
    ["", "7766", ":7766", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "::1:7766", "[::1]", "h h:1",
     "http://127.0.0.1:1", "127.0.0.1:7766/x"],
)  # fmt: skip
def test_a_listen_address_without_host_or_port_is_refused(listen: str, daemon_problems: Problems) -> None:
    (found,) = daemon_problems(MINIMAL.replace("127.0.0.1:7766", listen))
    assert found.startswith("daemon.toml:1: listen: ")


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:7766", "localhost:7766"])
def test_loopback_needs_no_token(listen: str, daemon_problems: Problems) -> None:
    assert daemon_problems(MINIMAL.replace("127.0.0.1:7766", listen)) == ()


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:7766", "100.64.0.1:7766", "mm.example:7766"])
def test_listening_beyond_loopback_needs_tokens_or_consent(listen: str, daemon_problems: Problems) -> None:
    text = MINIMAL.replace("127.0.0.1:7766", listen)
    (found,) = daemon_problems(text)
    assert found.startswith("daemon.toml:1: listen: listens beyond loopback without tokens; add one with")
    assert "allow_anonymous = true" in found
    assert daemon_problems(text + "allow_anonymous = true\n") == ()
    assert daemon_problems(text + f'[[token]]\nname = "a"\nscope = "read"\nsha256 = "{SHA}"\n') == ()


@pytest.mark.parametrize(
    ("listen", "host", "url", "from_here"),
    [
        ("127.0.0.1:80", "127.0.0.1", "http://127.0.0.1:7", "http://127.0.0.1:7"),
        ("[::1]:80", "::1", "http://[::1]:7", "http://[::1]:7"),
        ("0.0.0.0:80", "0.0.0.0", "http://0.0.0.0:7", "http://127.0.0.1:7"),
        ("[::]:80", "::", "http://[::]:7", "http://[::1]:7"),
        ("mm.example:80", "mm.example", "http://mm.example:7", "http://mm.example:7"),
    ],
)
def test_where_it_listens_and_where_it_is_reached(
    tmp_path: Path, listen: str, host: str, url: str, from_here: str
) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text("allow_anonymous = true\n" + MINIMAL.replace("127.0.0.1:7766", listen))
    spec = load_daemon(str(path))
    assert (spec.host, spec.port, spec.url(7), spec.url_from_here(7)) == (host, 80, url, from_here)


@pytest.mark.parametrize("key", ["db_path", "topology_path", "workdir", "release_root"])
def test_a_path_that_is_not_absolute_is_refused(key: str, daemon_problems: Problems) -> None:
    text = "\n".join(f'{key} = "rel"' if line.startswith(key) else line for line in MINIMAL.splitlines())
    (found,) = daemon_problems(text)
    assert f" {key}: is 'rel', must be an absolute path; start it with /" in found


def test_the_release_store_is_not_the_workdir(daemon_problems: Problems) -> None:
    (found,) = daemon_problems(MINIMAL.replace("/s/releases", "/s/work/"))
    assert found.startswith("daemon.toml:5: release_root: is the workdir too")


def test_two_notifiers_of_one_target_need_names(daemon_problems: Problems) -> None:
    entry = '[[notify]]\non = ["Locked"]\nurl = "http://h/x"\n'
    (found,) = daemon_problems(MINIMAL + entry + entry)
    assert found.startswith("daemon.toml:9: notify[1].name: a notifier 'webhook-")
    assert daemon_problems(MINIMAL + entry + entry + 'name = "second"') == ()


def test_a_notifier_without_a_name_has_one_that_stays_and_tells_nothing(tmp_path: Path) -> None:
    def name(target: str, on: str = "Locked") -> str:
        path = tmp_path / "daemon.toml"
        path.write_text(MINIMAL + f'[[notify]]\non = ["{on}"]\n{target}\n')
        return load_daemon(path).notify[0].name

    first = name('url = "https://chat.example/private"')
    assert name('url = "https://chat.example/private"', on="Rollback") == first
    assert name('url = "https://chat.example/other"') != first
    assert "private" not in first
    assert name('command = "x"') != name('command = ["x", "y"]')


def test_what_is_secret_in_a_spec_is_not_in_its_repr(tmp_path: Path, daemon_text: str) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(daemon_text)
    spec = load_daemon(path)
    for text in (repr(spec), repr(spec.notify), f"{spec.notify[1]!r}"):
        assert not any(word in text for word in ("/hook", "pass", "key=1", "0123456789abcdef", "postgres"))


@pytest.mark.parametrize(
    "line",
    [
        'scratch_db_url = "postgres://you:{}@127.0.0.1:x/scratch"',
        'scratch_db_url = "postgres:/you:{}@127.0.0.1/scratch"',
        'scratch_db_url = "postgres://you:{}@127.0.0.1/scratch?host=elsewhere"',
        'scratch_db_url = "postgres://you:{}@[::1/scratch"',
        'scratch_db_url = "postgres://you:{} x@127.0.0.1/scratch"',
        'scratch_db_url = "{}"',
        "scratch_db_url = postgres://you:{}@127.0.0.1/scratch",
        'scratch_db_url = ["{}"]',
        '[[notify]]\non = ["Locked"]\nurl = "ftp://h/{}"',
        '[[notify]]\non = ["Locked"]\nurl = "http://h:port/{}"',
        '[[notify]]\non = ["Locked"]\nurl = "http://u:{}@h:port/"',
        '[[notify]]\non = ["Locked"]\nurl = "http:///{}"',
        '[[notify]]\non = ["Locked"]\nurl = "http://h/"\nsecret = "{}',
        "[[notify]]\non = ['Locked']\nurl = 'http://h/'\nsecret = {}",
        '[[notify]]\non = ["Locked"]\nurl = "http://h/"\nsecret = ["{}"]',
        '[[token]]\nname = "a"\nscope = "read"\nsha256 = "{}"',
        '[[token]]\nname = "a"\nscope = "read"\nsha256 = {}',
        '[[token]]\nname = "a"\nscope = "read"\nsha256 = ["{}"]',
    ],
)
def test_no_problem_quotes_what_may_be_a_secret(line: str, daemon_problems: Problems) -> None:
    secret = "se-cr3t-of-the-team"
    found = daemon_problems(MINIMAL + line.replace("{}", secret))
    assert found
    assert "cr3t" not in "".join(found)
