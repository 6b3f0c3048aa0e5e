"""Release folders by hash: what is listed, what is refused, and every way to differ from a manifest."""

import json
import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.errors import WorkError
from sando.model.release import MANIFEST, FileEntry
from sando.work.digest import digest_of, listed, scan, verify
from tests.work.nodes import manifest_of, write_release


@pytest.fixture
def release(tmp_path):
    return write_release(
        tmp_path, "1.0", {"server": "#!/bin/sh\n", "migrations/1.sql": "a", "migrations/2.sql": "bb", "a": ""}
    )


def test_a_scan_lists_every_file_but_the_manifest_sorted_by_path(release):
    files = scan(release)
    assert [f.path for f in files] == ["a", "migrations/1.sql", "migrations/2.sql", "server"]
    assert [f.size for f in files] == [0, 1, 2, 10]
    assert [oct(f.mode) for f in files] == ["0o644", "0o644", "0o644", "0o755"]
    assert files[0].sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_manifest_in_an_inner_folder_is_a_file_as_any_other(release):
    (release / "migrations" / MANIFEST).write_text("{}")
    assert f"migrations/{MANIFEST}" in [f.path for f in scan(release)]


def test_a_scan_of_a_folder_that_is_not_there_could_not_run(tmp_path):
    with pytest.raises(WorkError, match=r"cannot read .*gone: No such file") as caught:
        scan(tmp_path / "gone")
    assert caught.value.errored


@pytest.mark.parametrize("target", ["server", "/etc/passwd", "../outside", "nowhere"])
def test_a_link_in_a_release_is_refused_wherever_it_leads(release, target):
    (release / "link").symlink_to(target)
    with pytest.raises(WorkError, match=r"link is a symbolic link"):
        scan(release)


def test_a_link_to_a_folder_is_refused_by_its_path(release):
    (release / "migrations" / "more").symlink_to("/")
    with pytest.raises(WorkError, match=r"migrations/more is a symbolic link"):
        scan(release)


def test_a_fifo_and_a_socket_are_refused_without_waiting_for_anybody(release):
    os.mkfifo(release / "pipe")
    with pytest.raises(WorkError, match=r"pipe is no regular file"):
        scan(release)
    (release / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(release / "sock"))
        with pytest.raises(WorkError, match=r"sock"):
            scan(release)


def test_a_name_that_is_no_utf8_is_refused_and_shown_escaped(release):
    Path(os.fsdecode(os.fsencode(release) + b"/caf\xe9")).touch()
    with pytest.raises(WorkError, match=r"the name caf\\udce9 is not UTF-8"):
        scan(release)


def test_a_complete_release_verifies(release):
    assert verify(release) is None
    assert listed(release) == scan(release)


def test_files_beside_the_listed_ones_are_no_fault(release):
    (release / "__pycache__").mkdir()
    (release / "__pycache__" / "x.pyc").write_text("x")
    assert verify(release) is None


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda r: (r / "server").unlink(), "missing: server"),
        (lambda r: (r / "server").write_text("#!/bin/so\n"), "server: sha256 differs"),
        (lambda r: (r / "server").write_text("#!/bin/sh"), "server: has 9 bytes, not 10"),
        (lambda r: (r / "server").chmod(0o644), "server: mode is 0644, not 0755"),
        (
            lambda r: ((r / "a").unlink(), (r / "a").mkdir()),
            "a: a is no regular file: a release holds files only",
        ),
        (lambda r: ((r / "a").unlink(), (r / "a").symlink_to("server")), "a: is reached through a link"),
        (
            lambda r: ((r / "migrations").rename(r / "m"), (r / "migrations").symlink_to("m")),
            "migrations/1.sql: is reached through a link",
        ),
        (lambda r: (r / MANIFEST).unlink(), "no manifest.json"),
    ],
)
def test_each_damage_is_named(release, damage, said):
    damage(release)
    assert verify(release) == said


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": [{}]}', '{"files": 3}'])
def test_a_manifest_that_makes_no_sense_is_said_to(release, text):
    (release / MANIFEST).write_text(text)
    assert "cannot be understood" in (verify(release) or "")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "."])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(release, path):
    manifest = manifest_of(release)
    manifest["files"][0]["path"] = path
    (release / MANIFEST).write_text(json.dumps(manifest))
    assert "leads out of it" in (verify(release) or "")


ENTRIES = st.builds(
    FileEntry,
    st.text(min_size=1, max_size=8),
    st.integers(0, 99),
    st.integers(0, 0o777),
    st.sampled_from(["a" * 64, "b" * 64]),
)


@given(
    st.lists(ENTRIES, max_size=4, unique_by=lambda e: e.path),
    st.lists(ENTRIES, max_size=4, unique_by=lambda e: e.path),
)
def test_two_lists_have_one_digest_only_when_they_hold_the_same_files(one, two):
    same = sorted(one, key=lambda e: e.path) == sorted(two, key=lambda e: e.path)
    assert (digest_of(one) == digest_of(two)) == same
    assert digest_of(one) == digest_of(list(reversed(one)))


@pytest.fixture
def reads(monkeypatch):
    """What is read of files from now on, as a list of sizes; time has gone on since they were written."""
    sizes = []

    def read(fd, count):
        data = os_read(fd, count)
        sizes.append(len(data))
        return data

    os_read, now = os.read, time.time_ns
    monkeypatch.setattr("sando.work.digest.os.read", read)
    monkeypatch.setattr("sando.work.digest.time.time_ns", lambda: now() + 10**9)
    return sizes


def test_a_file_that_has_not_changed_since_it_was_hashed_is_not_read_again(release, reads):
    assert verify(release) is None
    assert sum(reads) > 0
    reads.clear()
    assert verify(release) is None
    assert reads == []


def test_a_change_that_keeps_size_and_mtime_is_found(release, reads):
    assert verify(release) is None
    path = release / "migrations" / "2.sql"
    before = path.stat()
    path.write_text("cc")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert verify(release) == "migrations/2.sql: sha256 differs"


def test_what_was_hashed_right_after_a_change_is_hashed_again(release, reads, monkeypatch):
    monkeypatch.setattr("sando.work.digest.time.time_ns", lambda: (release / "server").stat().st_ctime_ns)
    assert verify(release) is None
    reads.clear()
    assert verify(release) is None
    assert sum(reads) > 0
