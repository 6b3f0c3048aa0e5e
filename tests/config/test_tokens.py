"""`[[token]]` tables put into daemon.toml and taken out again: nothing else of the file changes, whatever it looks like."""

import os
import stat
import threading
from pathlib import Path

import pytest

from sando.config import load_daemon, tokens
from sando.model.errors import ConfigError
from sando.model.topology import TokenSpec

A, B = "a" * 64, "b" * 64
MAX = TokenSpec("max", "operate", A)
CI = TokenSpec("ci", "build", B)
PLAIN = """\
# sandod of the team, keep in step with the wiki
listen = "127.0.0.1:7766"   # loopback only
db_path = "/s/sando.db"
topology_path = "/s/sando.toml"
workdir = "/s/work"
release_root = "/s/releases"
"""
NOTIFY = """
[[notify]] # tell the chat
on = ["BuildFailed"]
url = "https://chat.example/[[token]]"
"""
TOKEN = f"""
# the deploy pipeline
[[token]]
name = "ci" # not a person
scope = "build"
sha256 = "{B}"
# until here
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "daemon.toml"


def refusal(act) -> str:
    with pytest.raises(ConfigError) as found:
        act()
    return str(found.value)


@pytest.mark.parametrize(
    "text",
    [PLAIN, PLAIN + NOTIFY, PLAIN + TOKEN, PLAIN + TOKEN + NOTIFY, PLAIN + NOTIFY + TOKEN, "\ufeff" + PLAIN],
)
def test_what_is_added_is_known_and_all_else_stands_as_it_stood(file, text):
    file.write_bytes(text.encode())
    tokens.add(file, MAX)
    assert file.read_bytes().startswith(text.encode())
    assert MAX in load_daemon(file).tokens
    tokens.remove(file, "max")
    assert file.read_bytes() == text.encode()


def test_a_file_without_a_last_line_feed_gets_one(file):
    file.write_text(PLAIN.rstrip("\n"))
    tokens.add(file, MAX)
    assert load_daemon(file).tokens == (MAX,)


def test_lines_end_as_they_did(file):
    file.write_bytes(PLAIN.replace("\n", "\r\n").encode())
    tokens.add(file, MAX)
    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n")
    assert load_daemon(file).tokens == (MAX,)


def test_what_is_removed_takes_only_its_own_lines_with_it(file):
    file.write_text(PLAIN + TOKEN + NOTIFY)
    tokens.remove(file, "ci")
    assert file.read_text() == PLAIN + "\n# the deploy pipeline\n# until here\n" + NOTIFY
    assert load_daemon(file).tokens == ()


def test_the_middle_one_of_three_goes(file):
    file.write_text(PLAIN)
    for token in (MAX, CI, TokenSpec("eve", "read", "c" * 64)):
        tokens.add(file, token)
    tokens.remove(file, "ci")
    assert [t.name for t in load_daemon(file).tokens] == ["max", "eve"]


def test_a_name_that_is_taken_is_refused_and_replaced_only_where_that_is_said(file):
    file.write_text(PLAIN + TOKEN + NOTIFY)
    new = TokenSpec("ci", "read", "c" * 64)
    before = file.read_bytes()
    assert "a token ci is there already; --replace" in refusal(lambda: tokens.add(file, new))
    assert file.read_bytes() == before
    tokens.add(file, new, replace=True)
    assert load_daemon(file).tokens == (new,)
    tokens.add(file, MAX, replace=True)
    assert load_daemon(file).tokens == (new, MAX)


def test_a_name_that_is_not_there_is_told_with_those_that_are(file):
    file.write_text(PLAIN + TOKEN)
    assert refusal(lambda: tokens.remove(file, "max")) == f"{file}: there is no token max; there are: ci"


@pytest.mark.parametrize(
    "inline", ["token = []", f'token = [ {{ name = "ci", scope = "build", sha256 = "{B}" }} ]']
)
def test_an_inline_list_is_left_to_the_person(file, inline):
    file.write_text(inline + "\n" + PLAIN)
    said = refusal(lambda: tokens.add(file, MAX))
    assert "write each as a [[token]] table" in said
    assert A in said


@pytest.mark.parametrize(
    "odd",
    [
        f'[[ token ]]\nname = "ci"\nscope = "build"\nsha256 = "{B}"\n',
        f'[["token"]]\n"name" = "ci"\nscope = """build"""\nsha256 = \'{B}\'\n',
        f'[[token]]\nscope = "build"\n\nname = "ci"\n# between\nsha256 = """\\\n  {B}"""\n',
    ],
)
def test_odd_ways_to_write_a_token_are_removed_or_left_alone(file, odd):
    file.write_text(PLAIN + odd + NOTIFY)
    before = file.read_bytes()
    try:
        tokens.remove(file, "ci")
    except ConfigError as error:
        assert "edit it by hand" in str(error)  # noqa: PT017
        assert file.read_bytes() == before
    else:
        assert load_daemon(file).tokens == ()
        assert len(load_daemon(file).notify) == 1


def test_a_file_that_is_no_toml_is_not_touched(file):
    file.write_text(PLAIN + "listen =\n")
    assert "no valid TOML" in refusal(lambda: tokens.add(file, MAX))
    file.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in refusal(lambda: tokens.add(file, MAX))
    assert "No such file" in refusal(lambda: tokens.add(file.with_name("other"), MAX))


def test_mode_and_owner_stay(file):
    file.write_text(PLAIN)
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 4321)
    before = file.stat()
    tokens.add(file, MAX)
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == 0o640


def test_a_link_stays_a_link(file, tmp_path):
    real = tmp_path / "etc" / "real.toml"
    real.parent.mkdir()
    real.write_text(PLAIN)
    file.symlink_to(real)
    tokens.add(file, MAX)
    assert file.is_symlink()
    assert load_daemon(real).tokens == (MAX,)
    assert [p.name for p in real.parent.iterdir()] == ["real.toml"]


def test_many_at_once_are_all_in(file):
    file.write_text(PLAIN)
    threads = [
        threading.Thread(target=tokens.add, args=(file, TokenSpec(f"t{n}", "read", f"{n:064x}")))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {t.name for t in load_daemon(file).tokens} == {f"t{n}" for n in range(20)}


def test_a_disk_that_is_full_leaves_the_file_as_it_was(file, monkeypatch):
    file.write_text(PLAIN)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "cannot be changed (No space left on device)" in refusal(lambda: tokens.add(file, MAX))
    assert file.read_text() == PLAIN
    assert [p.name for p in file.parent.iterdir()] == ["daemon.toml"]
