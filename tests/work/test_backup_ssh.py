"""Fetches over a real sshd: every kind of login shell, keys and host keys, lines that break, and a source that is hostile."""

import io
import tarfile
from pathlib import Path

import pytest

from sando.model.errors import Cancelled
from sando.work.backup.arrival import Limits
from tests.work import fetching
from tests.work.fetching import DUMP, END, HEAD, OLD, TOC, content, on_the_way, plain
from tests.work.lines import agent, fingerprint
from tests.work.sshds import CLOSED, ENDLESS, NOISY, SHELLS, busybox, farm, new_pair, on_path, tools
from tests.work.wild import until
from tests.work.wire import Wire

place = fetching.place
SLOW = 2_000_000  # bytes a second
LARGE = plain(3_000_000)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with farm(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture(scope="module")
def node(sshd):
    return sshd()


@pytest.fixture
def wire(node):
    with Wire(node.host, node.port) as made:
        yield made
        made.heal()


def there(place, node, port=None, **keys):
    """The arguments of a fetch of the source from that machine."""
    target = node.through(port) if port else node.target
    own = {"identity_file": str(node.identity), "known_hosts": str(node.known_hosts)}
    return {"url": f"ssh://{target}{place.source}", **own, **keys}


# -- what arrives ------------------------------------------------------------------------------------------


def test_a_file_arrives_whole(place, node):
    told = place.fetch(**there(place, node))
    assert place.target.read_bytes() == DUMP
    assert (told.kind, told.bytes, told.warnings) == ("plain", len(DUMP), ())
    assert told.source == f"ssh://{node.target}{place.source}"


def test_a_folder_arrives_whole(place, node):
    files = place.folder_of_dump(a_dat=b"one", b_dat=bytes(2_000_000))
    assert place.fetch(**there(place, node)).kind == "directory"
    assert content(place.target) == files


@pytest.mark.parametrize("shell", SHELLS)
def test_the_login_shell_on_the_other_side_may_be_any(place, sshd, shell):
    node = sshd(shell=SHELLS[shell])
    assert place.fetch(**there(place, node)).kind == "plain"
    assert place.target.read_bytes() == DUMP
    files = place.folder_of_dump(a_dat=b"one")
    place.fetch(**there(place, node))
    assert content(place.target) == files


@pytest.mark.parametrize("noise", [name for name in NOISY if name != "flood"])
def test_what_a_login_shell_says_is_no_part_of_the_dump(place, sshd, noise):
    place.fetch(**there(place, sshd(shell=NOISY[noise])))
    assert place.target.read_bytes() == DUMP


def test_a_login_shell_that_does_not_stop_talking_is_told(place, sshd):
    error = place.refused(**there(place, sshd(shell=NOISY["flood"])))
    assert "says more than 64 KiB before it obeys" in str(error)
    assert not error.errored


def test_a_key_that_is_bound_to_one_command_brings_what_that_prints(place, sshd):
    node = sshd()
    keys = node.folder / "authorized_keys"
    keys.write_text(f'restrict,command="cat {place.source}" {keys.read_text()}')
    told = place.fetch(**{**there(place, node), "url": f"ssh://{node.target}/whatever"})
    assert place.target.read_bytes() == DUMP
    assert told.kind == "plain"
    place.source.write_bytes(LARGE)
    place.fetch(**{**there(place, node), "url": f"ssh://{node.target}/whatever"})
    assert place.target.read_bytes() == LARGE


def test_the_path_is_one_word_on_the_other_side(place, node):
    odd = place.source.with_name("-a~b=c,d+e@f:g.sql")
    place.source.rename(odd)
    place.source = odd
    place.fetch(**there(place, node))
    assert place.target.read_bytes() == DUMP


def test_a_machine_with_busybox_is_enough(place, sshd):
    node = sshd(shell=on_path(busybox(place.folder / "box")))
    place.fetch(**there(place, node))
    assert place.target.read_bytes() == DUMP
    files = place.folder_of_dump(a_dat=b"one")
    place.fetch(**there(place, node))
    assert content(place.target) == files


def test_without_stat_the_whole_is_not_known_and_the_dump_comes_all_the_same(place, sshd):
    node = sshd(shell=on_path(tools(place.folder / "tools", ("stat",))))
    place.fetch(**there(place, node))
    assert place.target.read_bytes() == DUMP
    place.folder_of_dump(a_dat=b"one")
    assert place.fetch(**there(place, node)).kind == "directory"


def test_the_key_may_be_in_the_agent_of_sandods_user(place, node, monkeypatch):
    with agent(place.folder, node.identity) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        place.fetch(**there(place, node, identity_file=None))
    assert place.target.read_bytes() == DUMP


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(LARGE[:-500]), "half a dump"),
        (lambda path: path.write_bytes(b"<html>"), "HTML page"),
        (lambda path: (path.unlink(), path.mkdir()), "without toc.dat"),
        (lambda path: (path.unlink(), path.mkdir(), (path / "sub").mkdir()), "sub in the folder, which is no regular"),
        (lambda path: (path.unlink(), path.symlink_to("/dev/null")), "is neither a file nor a folder"),
    ],
)  # fmt: skip
def test_a_source_that_is_no_dump_is_told_and_the_old_one_stays(place, node, change, told):
    change(place.source)
    error = place.refused(**there(place, node))
    assert told in str(error)
    assert not error.errored
    assert f"ssh://{node.target}{place.source}: " in str(error)


def test_an_unknown_host_key_says_what_to_compare_and_where_to_add_it(place, node):
    known = place.folder / "known"
    known.touch()
    error = place.refused(**there(place, node, known_hosts=str(known)))
    assert "its host key is unknown" in str(error)
    assert f"`ssh-keyscan -p {node.port} {node.host}`" in str(error)
    assert f"add it to {known}" in str(error)
    assert error.errored


def test_a_changed_host_key_is_told_with_its_fingerprint_and_the_line_that_knows_another(place, sshd):
    node = sshd()
    node.rekey()
    error = place.refused(**there(place, node))
    assert "ITS HOST KEY HAS CHANGED" in str(error)
    assert fingerprint((node.folder / "host_ed25519.pub").read_text()) in str(error)
    assert f"{node.known_hosts}:1" in str(error)
    assert f"`ssh-keygen -f {node.known_hosts} -R '[{node.host}]:{node.port}'`" in str(error)
    assert error.errored


def test_a_key_that_is_not_let_in_is_told_by_name(place, node):
    stranger = new_pair().write(place.folder / "stranger")
    error = place.refused(**there(place, node, identity_file=str(stranger)))
    assert f"does not let {node.user} in with {stranger}" in str(error)
    assert "authorized_keys" in str(error)
    assert error.errored


def test_a_key_that_others_may_read_is_told(place, node):
    key = place.folder / "key"
    key.write_text(node.identity.read_text())
    key.chmod(0o644)
    error = place.refused(**there(place, node, identity_file=str(key)))
    assert f"ssh does not use {key}, which others may read: chmod 600 it" in str(error)


def test_a_key_file_that_is_not_there_is_told_before_anything_is_started(place, node):
    missing = str(place.folder / "no-key")
    place.stand_in("ssh", "echo never")
    error = place.refused(**there(place, node, identity_file=missing))
    assert f"cannot read {missing} ([backup] identity_file)" in str(error)
    assert not place.begun()


def test_ssh_that_is_not_installed_is_told_with_its_package(place, monkeypatch):
    monkeypatch.setenv("PATH", str(place.programs))
    error = place.refused("ssh://u@h/p")
    assert "ssh is not installed here: install it (package openssh-client)" in str(error)
    assert error.errored


@pytest.mark.parametrize("shell", CLOSED)
def test_an_account_that_runs_nothing_brings_nothing(place, sshd, shell):
    error = place.refused(**there(place, sshd(shell=CLOSED[shell])))
    assert "ssh ended with exit status" in str(error)


@pytest.mark.parametrize(
    ("shell", "told"), [("mute", "nothing arrived for"), ("endless", "timed out after 2s")]
)
def test_an_account_that_never_ends_is_ended(place, sshd, shell, told):
    limits = Limits(total_s=2.0, idle_s=0.8, grace_s=0.5, room=0)
    error = place.refused(limits=limits, **there(place, sshd(shell=ENDLESS[shell])))
    assert told in str(error)
    assert error.errored


def test_ssh_sees_nothing_of_the_daemons_secrets(place, monkeypatch):
    for name in ("PGPASSWORD", "SANDO_TOKEN", "RSYNC_RSH"):
        monkeypatch.setenv(name, "s3cret")
    place.stand_in("ssh", "env")
    place.target.unlink()
    place.fetch("ssh://u@h/p")
    assert b"s3cret" not in place.target.read_bytes()


@pytest.mark.parametrize(
    ("script", "told", "errored"),
    [
        ("echo 'Connection closed by 10.0.0.1' >&2; exit 255", "status 255: Connection closed", True),
        ("echo 'cat: /var/x: Permission denied' >&2; exit 1", "status 1: cat: /var/x: Permission", False),
        ("kill -9 $$", "killed by SIGKILL", True),
        ("printf 'a\\033[2Jb' >&2; exit 1", "status 1: a\\x1b[2Jb", False),
    ],
)
def test_ssh_that_ends_badly_says_why_and_whether_it_was_the_line(place, script, told, errored):
    place.stand_in("ssh", f"cat {place.source}; {script}")
    error = place.refused("ssh://u@h/p")
    assert told in str(error)
    assert error.errored is errored


# -- a line that breaks, a source that changes -------------------------------------------------------------


@pytest.fixture
def slowly(place, node, wire):
    """The arguments of a fetch that takes a second and a half."""
    place.source.write_bytes(LARGE)
    wire.slow(SLOW)
    return there(place, node, wire.port, limits=Limits(idle_s=1.0, grace_s=0.5, room=0))


def test_a_line_that_is_cut_in_the_middle_leaves_the_old_one(place, wire, slowly):
    with on_the_way(place, **slowly) as ended:
        wire.cut()
        error = ended()
    assert error.errored
    assert "ssh ended with exit status 255" in str(error)


def test_a_line_that_falls_silent_in_the_middle_is_ended(place, wire, slowly):
    with on_the_way(place, **slowly) as ended:
        wire.black_hole()
        error = ended()
    assert error.errored
    assert "nothing arrived for 1s, after" in str(error)
    assert "of 3.0 MB" in str(error)


def test_a_folder_that_is_cut_in_the_middle_leaves_the_old_one(place, wire, slowly):
    place.folder_of_dump(a_dat=LARGE)
    with on_the_way(place, **slowly) as ended:
        wire.cut()
        error = ended()
    assert error.errored
    assert "ssh ended with exit status 255" in str(error)


def test_a_machine_that_takes_no_connection_is_told(place, node, wire):
    wire.refuse()
    error = place.refused(**there(place, node, wire.port))
    assert "Connection refused" in str(error)
    assert error.errored


def test_an_sshd_that_is_killed_in_the_middle_leaves_the_old_one(place, sshd):
    node = sshd()
    with Wire(node.host, node.port) as wire:
        wire.slow(SLOW)
        place.source.write_bytes(LARGE)
        with on_the_way(place, **there(place, node, wire.port)) as ended:
            node.kill_sessions()
            error = ended()
    assert error.errored


def test_a_cancelled_fetch_leaves_the_old_one_and_no_process_on_either_side(place, node, slowly):
    with on_the_way(place, **slowly) as ended:
        place.cancel.cancel()
        assert isinstance(ended(), Cancelled)
    until(lambda: not node.left())


CHANGES = {
    "grows": lambda path: path.open("ab").write(b"more"),
    "is written anew": lambda path: path.write_bytes(HEAD + END),
    "is replaced": lambda path: (path.rename(path.with_suffix(".old")), path.write_bytes(LARGE)),
    "is gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_source_that_changes_while_it_is_read_is_not_taken(place, slowly, what):
    with on_the_way(place, **slowly) as ended:
        CHANGES[what](place.source)
        error = ended()
    assert "it changed while it was copied: something still writes to it" in str(error)
    assert not error.errored


# -- a source that is hostile ------------------------------------------------------------------------------


def member(name, **keys):
    info = tarfile.TarInfo(name)
    for key, value in keys.items():
        setattr(info, key, value)
    return info


OUT = "../../escaped"
HOSTILE = {
    "a path that leads out": [member(OUT, size=3)],
    "an absolute path": [member("/tmp/sando-escaped", size=3)],
    "a link out": [member("toc.dat", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
    "a hard link out": [member("toc.dat", type=tarfile.LNKTYPE, linkname="/etc/passwd")],
    "a link that a file follows": [member("a", type=tarfile.SYMTYPE, linkname=".."), member("a/b", size=3)],
    "a device": [member("toc.dat", type=tarfile.CHRTYPE, devmajor=1, devminor=5)],
    "a pipe": [member("toc.dat", type=tarfile.FIFOTYPE)],
    "a folder": [member("sub", type=tarfile.DIRTYPE)],
    "one name twice": [member("toc.dat", size=3), member("toc.dat", size=3)],
    "the folder itself as a file": [member(".", size=3)],
    "a setuid file": [member(OUT, size=3, mode=0o4777)],
}  # fmt: skip


@pytest.fixture
def hostile(place, sshd):
    """A machine that sends this, whatever it is asked for."""
    sent = place.folder / "sent"
    shell = f'word=${{SSH_ORIGINAL_COMMAND##* }}\necho "sando-backup $word folder 10"\nexec cat {sent}\n'
    node = sshd(shell=shell)

    def send(data):
        sent.write_bytes(data)
        return there(place, node)

    return send


@pytest.mark.parametrize("what", HOSTILE)
def test_only_files_with_plain_names_are_made_and_nothing_outside(place, hostile, what):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for info in HOSTILE[what]:
            tar.addfile(info, io.BytesIO(b"bad"))
    error = place.refused(**hostile(made.getvalue()))
    assert "in the folder, which" in str(error)
    assert not list(place.folder.rglob("escaped"))
    assert not Path("/tmp/sando-escaped").exists()


def test_a_name_without_end_and_a_hole_without_end_are_refused(place, hostile):
    name = member("x", type=tarfile.GNUTYPE_LONGNAME, size=2**33)
    assert "no whole tar" in str(place.refused(**hostile(name.tobuf(tarfile.GNU_FORMAT) + bytes(2**20))))
    pax = member("x", type=tarfile.XHDTYPE, size=2**33)
    assert "no whole tar" in str(place.refused(**hostile(pax.tobuf(tarfile.PAX_FORMAT) + bytes(2**20))))
    hole = io.BytesIO()
    with tarfile.open(fileobj=hole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        records = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": f"{2**50},0"}
        tar.addfile(member("toc.dat", pax_headers={**records, "GNU.sparse.size": str(2**50)}))
    assert "no regular file" in str(place.refused(**hostile(hole.getvalue())))


@pytest.mark.parametrize("data", [b"no tar at all" * 1000, b"", TOC])
def test_what_is_no_tar_is_told(place, hostile, data):
    error = place.refused(**hostile(data))
    assert "no whole tar" in str(error)


def test_a_tar_that_ends_in_the_middle_of_a_file_is_no_dump(place, hostile):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(member("toc.dat", size=len(TOC)), io.BytesIO(TOC))
        tar.addfile(member("1.dat", size=100_000), io.BytesIO(bytes(100_000)))
    for end in (600, 1100, 50_000, 101_000):
        place.refused(**hostile(made.getvalue()[:end]))
    assert place.target.read_bytes() == OLD
