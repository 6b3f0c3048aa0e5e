"""node.sh under every shell that a node may have for /bin/sh, called as its callers call it, without a connection."""

import fcntl
import multiprocessing
import os
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sando.model.release import FileEntry
from sando.work.cancel import CancelToken
from sando.work.digest import listed, verify
from sando.work.hosts.base import named_by
from sando.work.hosts.listing import state
from sando.work.hosts.local import LocalHost
from sando.work.hosts.parcel import Parcels, Wish, list_alone
from sando.work.hosts.script import NODE_SH, quoted, words
from sando.work.hosts.ssh.shell import Feed, Shell
from tests.work.nodes import alive, names, until, write_release
from tests.work.sshds import tools
from tests.work.test_local import read

SHELLS = {
    "dash": ("dash",),
    "bash --posix": ("bash", "--posix"),
    "busybox": ("busybox", "sh"),  # its programs are BusyBox's, too
}
FREE = CancelToken()
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE = 0x80086601, 0x40086602, 0x10


@dataclass
class Said:
    status: int
    text: str

    def get(self, key):
        found = re.search(f"^@{key} (.*)$", self.text, re.MULTILINE)
        return found and found[1]

    def all(self, key):
        return re.findall(f"^@{key} (.*)$", self.text, re.MULTILINE)


class Node:
    """A release root, and node.sh in a shell of this machine."""

    def __init__(self, argv, folder):
        self.argv = argv
        self.root = folder / "node"
        self.store = folder / "store"
        self.parcels = Parcels(str(folder))
        self.env = {}

    def __call__(self, *call, data=b""):
        return self.sh(words(*call), data)

    def sh(self, script, data=b""):
        with tempfile.TemporaryFile() as out:  # as over ssh, where a pipe would wait for what is left running
            done = subprocess.run(
                [*self.argv, "-c", f"root={quoted(str(self.root))}\n{NODE_SH}\n{script}"],
                input=data,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=100,
                check=False,
                env={**os.environ, **self.env},
            )
            out.seek(0)
            return Said(done.returncode, out.read().decode("utf-8", "replace"))

    def upload(self, version, files=None, *, base=None, stamp="", operation=7):
        """All calls of an upload; answers the last one."""
        if not (self.store / version).exists():
            write_release(self.store, version, files)
        listing = listed(self.store / version)
        old = listed(self.store / base) if base else ()
        packing = "gzip" if "busybox" in self.argv else "zstd"
        wish = Wish(self.store, version, state(listing), base, packing, patches=packing == "zstd")
        parcel = self.parcels.get(wish, listing, old, FREE)
        staged = self("offer", operation).get("staged")
        return self(
            "receive", staged, parcel.size, parcel.packing, version, parcel.base or "", stamp, *state(listing), "",
            data=parcel.data,
        )  # fmt: skip

    def check(self, version, stamp=""):
        return self("check", version, *state(listed(self.store / version)), stamp)

    def release(self, version):
        return self.root / "releases" / version

    @property
    def current(self):
        return self.root / "current"

    def link(self):
        return os.readlink(self.current)  # noqa: PTH115


@pytest.fixture(params=SHELLS)
def node(request, tmp_path):
    return Node(SHELLS[request.param], tmp_path)


@pytest.fixture
def dash(tmp_path):
    return Node(SHELLS["dash"], tmp_path)


# -- the shells ---------------------------------------------------------------------------------------------


class Piped:
    """What a `Shell` needs of a channel, with a process of this machine at its other end."""

    def __init__(self, argv):
        self._argv = argv
        self._heard = b""
        self._lock = threading.Lock()
        self.eof_received = self.closed = False
        self.in_buffer = self

    def set_combine_stderr(self, _combine):
        """They are one from the start."""

    def set_event(self, event):
        self._stir = event
        threading.Thread(target=self._listen).start()

    def exec_command(self, _command):
        self.process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )

    def _listen(self):
        while data := self.process.stdout.read(2**16):
            with self._lock:
                self._heard += data
            self._stir.set()
        self.eof_received = True
        self._stir.set()

    def settimeout(self, _seconds):
        """A pipe takes what it is given."""

    def send(self, data):
        return self.process.stdin.write(data)

    def recv_ready(self):
        return bool(self._heard)

    def recv(self, _size):
        with self._lock:
            heard, self._heard = self._heard, b""
        return heard

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)

    drop = close

    def unsent(self):
        return 0


@pytest.mark.parametrize("argv", SHELLS.values(), ids=SHELLS)
def test_a_call_that_takes_a_stream_gets_all_of_it_and_nothing_else(argv, tmp_path):
    channel = Piped(argv)
    shell = Shell(channel, channel)
    data = list_alone([FileEntry(f"name-{number}", 0, 0o644, "") for number in range(5000)])
    try:
        shell.begin(f"root={quoted(str(tmp_path))}\n{NODE_SH}", soon(), FREE)
        assert shell.feed(words("take_list", "1.0", len(data)), soon(), FREE, Feed(data, 10)).ok
        assert (tmp_path / ".sando/lists/1.0/files").read_bytes().split(b"\0")[4999] == b"name-4999"
        assert shell.call("echo still here", soon(), FREE).said == "still here"
    finally:
        channel.close()


def soon():
    return time.monotonic() + 10


def test_node_sh_can_be_read_by_every_shell(node):
    assert node("hello").all("lacks") == []
    assert node("hello").get("user") == node.sh("id -un").text.strip()


def test_what_a_call_says_on_its_way_out_is_told(node):
    said = node("discard", "1.0")
    assert said.status == 1
    assert "cannot remove releases/1.0" in said.text


@pytest.mark.parametrize("tool", ["readlink", "sha256sum", "tar"])
def test_a_tool_that_is_missing_is_named_with_all_others_before_it_is_needed(dash, tmp_path, tool):
    dash.upload("1.0")
    dash("switch", "1.0", 1, "")
    dash.env = {"PATH": str(tools(tmp_path / "bin", without=(tool, "head")))}
    hurt = f"this node lacks {' '.join(sorted((tool, 'head')))}; install what has it: coreutils, findutils and tar, or BusyBox\n"
    assert dash("prepare", 1).text == hurt
    assert dash("offer", 7).text == hurt
    if tool == "readlink":
        assert dash("current").text == hurt
        assert dash("switch", "1.0", 2, "").text == hurt
    if tool == "sha256sum":
        assert dash.check("1.0").text == hurt
    assert dash.link() == "releases/1.0"


# -- preparing ----------------------------------------------------------------------------------------------


def test_preparing_makes_all_folders_tells_the_room_and_leaves_no_trace(node):
    said = node("prepare", 1)
    assert int(said.get("free")) > 1000
    assert int(said.get("inodes") or 1000) > 100
    assert names(node.root) == [".sando", "releases"]
    assert names(node.root / ".sando") == ["incoming", "lists", "trash"]
    assert [*names(node.root / "releases"), *names(node.root / ".sando/incoming")] == []
    assert [oct((node.root / name).stat().st_mode) for name in ("releases", ".sando")] == [
        "0o40755",
        "0o40700",
    ]
    assert node("prepare", 0).text == ""


@pytest.mark.parametrize("name", ["releases", ".sando", ".sando/incoming", ".sando/lists", ".sando/trash"])
@pytest.mark.parametrize("call", [("prepare", 0), ("offer", 7), ("switch", "1.0", 7, "force")])
def test_a_planted_link_in_place_of_a_folder_is_refused_and_nothing_behind_it_is_touched(
    dash, tmp_path, name, call
):
    dash.upload("1.0")
    inside, outside = dash.root / name, tmp_path / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    before = names(outside)
    said = dash(*call)
    assert said.status == 1
    assert f"unexpected link: {inside} has to be a folder; remove the link" in said.text
    assert names(outside) == before
    assert not os.path.lexists(dash.current)


def test_a_release_root_that_cannot_be_made_is_told_with_the_user_it_is_for(node, tmp_path):
    (tmp_path / "file").write_text("")
    node.root = tmp_path / "file" / "node"
    said = node("prepare", 1)
    assert said.status == 1
    assert f"cannot make {node.root}; make it, and give it to {node.sh('id -un').text}" in said.text


def test_a_program_that_cannot_be_started_and_an_mv_without_t_are_found(dash, tmp_path):
    folder = tools(tmp_path / "bin", without=("mv",))
    (folder / "mv").write_text(
        '#!/bin/sh\ncase $1 in -T) echo "mv: illegal option -- T"; exit 64 ;; esac\nexec /bin/mv "$@"\n'
    )
    (folder / "mv").chmod(0o755)
    dash.env = {"PATH": str(folder)}
    said = dash("prepare", 1)
    assert said.text.endswith("this node's mv has no -T: install coreutils or BusyBox\n")
    assert names(dash.root / ".sando/incoming") == []


# -- current ------------------------------------------------------------------------------------------------

TARGETS = st.lists(
    st.sampled_from(
        ["releases", "1.0", ".", "..", "", "node", "2.0+g1", ".hidden", "-x", "a b", "a\nb", "é"]
    ),
    min_size=1,
    max_size=6,
).map("/".join)


@given(st.lists(TARGETS, min_size=1, max_size=30))
@example(
    [
        "releases/1.0",
        "./releases/1.0/",
        "releases/../releases/1.0",
        "releases/1.0\n",
        "releases/..",
        "/node/releases/1.0",
    ]
)
@example(
    [
        "releases/" + "x" * 64,
        "releases/" + "x" * 65,
        "/",
        "//",
        "..",
        "../node/releases/1.0",
        "releases/1.0/sub",
    ]
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_link_names_the_same_version_as_for_a_local_node(node, targets):
    node.root = Path("/node")
    script = "".join(f"link={quoted(target)}; read_target; printf '[%s]' \"$named\"\n" for target in targets)
    expected = [named_by(target, "/node") or "" for target in targets]
    assert node.sh(script).text == "".join(f"[{name}]" for name in expected)


FOREIGN = {
    "a folder": Path.mkdir,
    "a file": Path.touch,
    "a link elsewhere": lambda path: path.symlink_to("/etc"),
    "a dangling link": lambda path: path.symlink_to("gone"),
    "a link into the releases of another root": lambda path: path.symlink_to("../other/releases/1.0"),
    "a link deep into a release": lambda path: path.symlink_to("releases/1.0/sub"),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_current_is_refused_kept_with_force_and_put_back(node, make):
    node.upload("1.0")
    make(node.current)
    host = LocalHost(str(node.root))
    before = host.read_current()
    assert before.foreign
    said = node("switch", "1.0", 7, "")
    assert (said.status, bool(said.get("foreign") or said.get("link"))) == (0, True)
    assert host.read_current() == before
    assert node("switch", "1.0", 7, "force").get("kept") == "current.kept-7"
    assert node.link() == "releases/1.0"
    assert node("unlink_current", 7).status == 0
    assert host.read_current() == before
    assert node("unlink_current", 7).status == (1 if before.foreign in {"a folder", "a file"} else 0)
    assert host.read_current() == before
    assert names(node.root) == [".sando", "current", "releases"]


def test_a_switch_with_force_that_was_cut_off_may_be_repeated(node):
    node.upload("1.0")
    node.current.symlink_to("/etc")
    (node.root / "current.kept-7").symlink_to("/etc")
    assert node("switch", "1.0", 7, "force").get("kept") == "current.kept-7"
    assert node.link() == "releases/1.0"


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/etc")])
def test_what_is_kept_is_never_overwritten(node, make):
    node.upload("1.0")
    make(node.current)
    (node.root / "current.kept-7").write_text("mine")
    said = node("switch", "1.0", 7, "force")
    assert said.status == 1
    assert "current.kept-7 is there already: move it away, or" in said.text
    assert (node.root / "current.kept-7").read_text() == "mine"
    assert LocalHost(str(node.root)).read_current().foreign


def test_a_switch_to_a_release_that_is_not_there_leaves_current_as_it_is(node):
    node.upload("1.0")
    assert node("switch", "1.0", 1, "").status == 0
    said = node("switch", "2.0", 2, "")
    assert (said.status, said.text) == (1, "releases/2.0 is not there; current was left as it is\n")
    assert node.link() == "releases/1.0"


@pytest.mark.parametrize(
    "version, itself",
    [
        ("(GNU coreutils) 8.4", False),
        ("(GNU coreutils) 8.22", False),
        ("(GNU coreutils) 8.26", False),
        ("(GNU coreutils) 8.27", True),
        ("(GNU coreutils) 8.32", True),
        ("(GNU coreutils) 9.1", True),
        ("(GNU coreutils) 10.2", True),
        ("(uutils coreutils) 0.2.2", False),
    ],
)
def test_only_a_new_ln_of_gnu_is_trusted_to_replace_a_link_in_one_step(dash, tmp_path, version, itself):
    for name in ("1.0", "2.0"):
        dash.upload(name)
    dash("switch", "1.0", 1, "")
    folder = tools(tmp_path / "bin", without=("ln",))
    (folder / "ln").write_text(
        f"#!/bin/sh\ncase $1 in --version) echo 'ln {version}'; echo more; exit ;; -sfT) touch {tmp_path}/itself ;; esac\n"
        'exec /bin/ln "$@"\n'
    )
    (folder / "ln").chmod(0o755)
    dash.env = {"PATH": str(folder)}
    assert dash("switch", "2.0", 1, "").status == 0
    assert dash.link() == "releases/2.0"
    assert (tmp_path / "itself").exists() == itself


def read_on(*words):
    os.nice(10)  # two that never wait leave little for the one who switches
    read(*words)


@pytest.mark.parametrize("name, turns", [("dash", 500), ("busybox", 50)])
@pytest.mark.long
def test_two_readers_during_a_thousand_switches_never_see_none_or_a_mixture(tmp_path, name, turns):
    node = Node(SHELLS[name], tmp_path)
    for version in ("1.0", "2.0"):
        node.upload(version, {"VERSION": version, "again": version})
    node("switch", "1.0", 1, "")
    fork = multiprocessing.get_context("fork")
    out, done = fork.Queue(), fork.Event()
    readers = [fork.Process(target=read_on, args=(str(node.root), 10_000, done, out)) for _ in range(2)]
    for reader in readers:
        reader.start()
    there_and_back = "( switch 2.0 1 '' ) || exit; ( switch 1.0 1 '' ) || exit"
    said = node.sh(f"turns={turns}; while [ $turns -gt 0 ]; do {there_and_back}; turns=$((turns - 1)); done")
    done.set()
    answers = [out.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(10)
    assert (said.status, said.text) == (0, "")
    assert [(failures, mixed) for failures, mixed, _ in answers] == [(0, 0), (0, 0)]
    assert set.union(*(seen for _, _, seen in answers)) == {"1.0", "2.0"}
    assert names(node.root / ".sando/incoming") == []


# -- uploads ------------------------------------------------------------------------------------------------

TREE = {"bin/server": "#!/bin/sh\n", "data/a b/deep": "x", "-dash": "y", "data/é": "z" * 5000, "empty": ""}


def test_an_upload_is_complete_and_leaves_nothing_staged_whatever_the_umask(node):
    old = os.umask(0o077)
    try:
        said = node.upload("1.0", TREE)
        node.upload("1.1", {**TREE, "data/é": "w" * 5000}, base="1.0")
    finally:
        os.umask(old)
    assert said.get("stamp")
    for version in ("1.0", "1.1"):
        folder = node.release(version)
        assert verify(folder) is None
        assert {oct(p.stat().st_mode) for p in (folder, folder / "data", folder / "data/a b")} == {"0o40755"}
    assert (node.release("1.0") / "-dash").samefile(node.release("1.1") / "-dash")
    assert names(node.root / ".sando/incoming") == []


def test_a_stream_that_ends_early_leaves_nothing_and_does_not_touch_current(node):
    node.upload("1.0")
    node("switch", "1.0", 1, "")
    write_release(node.store, "2.0")
    files = listed(node.store / "2.0")
    wish = Wish(node.store, "2.0", state(files), None, "plain", patches=False)
    parcel = node.parcels.get(wish, files, (), FREE)
    for part in (0, 1, 511, 513, parcel.size // 2):
        staged = node("offer", 7).get("staged")
        said = node(
            "receive", staged, parcel.size, "plain", "2.0", "", "", *state(files), "", data=parcel.data[:part]
        )
        assert said.get("stamp") is None
        assert said.get("needs") or "the upload could not be unpacked" in said.text
        assert names(node.root / ".sando/incoming") == []
    assert names(node.root / "releases") == ["1.0"]
    assert node.link() == "releases/1.0"


def test_what_is_no_archive_is_read_to_its_end_and_told(node):
    staged = node("offer", 7).get("staged")
    said = node.sh(
        f"( {words('receive', staged, 300_000, 'plain', '1.0', '', '', 'a', 'b', '')} ); cat",
        b"x" * 300_000 + b"rest",
    )
    assert said.text.endswith("rest")
    assert "the upload could not be unpacked" in said.text
    assert names(node.root / ".sando/incoming") == []


def test_another_attempt_of_an_operation_has_a_place_of_its_own_and_sweeps_the_last_one(node):
    first = node("offer", 7).get("staged")
    other = node("offer", 70).get("staged")
    second = node("offer", 7).get("staged")
    assert len({first, second, other}) == 3
    assert names(node.root / ".sando/incoming") == sorted([second, other])


def test_of_two_attempts_the_later_one_has_it(node):
    """The first was cut off, and is only slow: it finds its place gone when it wants to put the release there."""
    write_release(node.store, "1.0")
    files = listed(node.store / "1.0")
    parcel = node.parcels.get(
        Wish(node.store, "1.0", state(files), None, "plain", patches=False), files, (), FREE
    )
    first = node("offer", 7).get("staged")
    meanwhile = "( " + words("offer", 7) + " )"
    receive = words("receive", first, parcel.size, "plain", "1.0", "", "", *state(files), "")
    said = node.sh(f"is_whole() {{ {meanwhile}; }}\n{receive}", data=parcel.data)
    assert said.status == 1
    assert "another attempt to upload 1.0 has begun" in said.text
    assert names(node.root / "releases") == []


def test_leftovers_of_a_day_are_swept_and_younger_ones_are_not(node):
    node("prepare", 0)
    private = node.root / ".sando"
    for path in (private / "incoming/3-1", private / "incoming/4-1"):
        (path / "tree").mkdir(parents=True)
    (private / "out-old").touch()
    (private / "out-new").touch()
    for path in ("incoming/3-1", "out-old"):
        os.utime(private / path, (1, 1))
    node.upload("1.0")
    until(lambda: names(private / "incoming") == ["4-1"])
    until(lambda: names(private) == ["incoming", "lists", "out-new", "trash"])


def test_a_release_that_current_names_is_not_replaced(node):
    node.upload("1.0")
    node.current.symlink_to(f"{node.root}/releases/1.0")
    before = node.release("1.0").stat().st_ino
    said = node.upload("1.0")
    assert said.status == 1
    assert "releases/1.0 is what current names" in said.text
    assert node.release("1.0").stat().st_ino == before


def test_a_link_or_a_file_in_place_of_a_release_is_replaced_and_what_is_behind_it_stays(node, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    node("prepare", 0)
    for make in (lambda p: p.symlink_to(outside), Path.touch):
        make(node.release("1.0"))
        assert node.upload("1.0").get("stamp")
        assert verify(node.release("1.0")) is None
        node("discard", "1.0")
    assert names(outside) == ["precious"]


# -- looking at releases ------------------------------------------------------------------------------------


def restored(path, change):
    """A change whose traces a careful hand removes: size and times of the file are as before."""
    before = path.lstat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)


def flip(path):
    with path.open("r+b") as file:
        file.write(b"Y")


def to_link(path):
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


def to_fifo(path):
    path.unlink()
    os.mkfifo(path)


TAMPERED = {
    "content": ("data/deep/file", flip),
    "mode": ("bin/server", lambda path: path.chmod(0o775)),
    "setuid": ("bin/server", lambda path: path.chmod(0o4755)),
    "size": ("bin/server", lambda path: path.write_text("")),
    "link": ("bin/server", to_link),
    "folder that is a link": ("data/deep", to_link),
    "pipe": ("bin/server", to_fifo),
}


@pytest.mark.parametrize("path, change", TAMPERED.values(), ids=TAMPERED)
def test_what_was_changed_by_hand_is_found_although_a_stamp_is_known(dash, path, change):
    finds(dash, path, change)


def test_what_was_changed_by_hand_is_found_by_busybox_too(tmp_path):
    finds(Node(SHELLS["busybox"], tmp_path), *TAMPERED["content"])


def finds(node, path, change):
    node.upload("1.0", {"bin/server": "#!/bin/sh\n", "data/deep/file": "x" * 5000})
    stamp = node.check("1.0").get("stamp")
    assert node.check("1.0", stamp).get("stamp") == stamp
    restored(node.release("1.0") / path, change)
    assert node.check("1.0", stamp).text == "@needs look\n"
    assert node.check("1.0").text == "@needs look\n"


def test_a_missing_file_is_found_and_one_more_is_no_fault(node):
    node.upload("1.0")
    stamp = node.check("1.0").get("stamp")
    (node.release("1.0") / "__pycache__").mkdir()
    (node.release("1.0") / "database").touch()
    os.mkfifo(node.release("1.0") / "socket")
    assert node.check("1.0", stamp).get("stamp") == stamp
    (node.release("1.0") / "VERSION").unlink()
    assert node.check("1.0", stamp).get("needs") == "look"


def test_a_release_of_which_nothing_can_be_looked_at_is_not_right(node):
    node.upload("1.0")
    for name in ("VERSION", "server"):
        (node.release("1.0") / name).unlink()
    assert node.check("1.0").text == "@needs look\n"


def test_what_is_no_release_is_told_in_the_words_of_a_local_node(node, tmp_path):
    write_release(node.store, "1.0")
    host = LocalHost(str(node.root))

    def told():
        said = node.check("1.0").get("wrong")
        assert said == host.check_release("1.0", listed(node.store / "1.0"))
        assert said == node("manifest", "1.0").get("wrong")
        return said

    assert told() == "it is not there"
    node("prepare", 0)
    node.release("1.0").mkdir()
    assert told() == "it has no manifest.json"
    node.release("1.0").rename(tmp_path / "elsewhere")
    node.release("1.0").symlink_to(tmp_path / "elsewhere")
    assert told() == "it is reached through a link"


def test_a_list_that_is_not_there_is_asked_for_and_taken(node):
    write_release(node.store, "1.0", TREE)
    node("prepare", 0)
    subprocess.run(["cp", "-rp", node.store / "1.0", node.release("1.0")], check=True)
    assert node.check("1.0").text == "@needs list\n"
    data = list_alone(listed(node.store / "1.0"))
    assert node("take_list", "1.0", len(data), data=data).text == f"@ready {len(data)}\n"
    assert node.check("1.0").get("stamp")
    assert node("take_list", "1.0", len(data), data=data[:700]).status == 1
    assert names(node.root / ".sando/incoming") == []


def test_linking_a_file_into_the_next_release_does_not_spoil_the_stamp_of_the_last(node):
    node.upload("1.0", {"same": "x", "other": "y"})
    stamp = node.check("1.0").get("stamp")
    said = node.upload("1.1", {"same": "x", "other": "z"}, base="1.0", stamp=stamp)
    again = said.get("base")
    assert again != stamp
    assert node.check("1.0", again).get("stamp") == again
    assert node.check("1.1", said.get("stamp")).get("stamp") == said.get("stamp")


def test_a_stamp_that_did_not_hold_before_is_not_made_anew(node):
    node.upload("1.0", {"same": "x", "other": "y"})
    stamp = node.check("1.0").get("stamp")
    restored(node.release("1.0") / "other", flip)
    assert node.upload("1.1", {"same": "x", "other": "z"}, base="1.0", stamp=stamp).get("base") is None
    assert node("remove", "1.1", "1.0", stamp).get("again") is None


def test_a_removal_makes_the_stamps_of_what_shares_files_anew(node):
    node.upload("1.0", {"same": "x"})
    node.upload("1.1", {"same": "x"}, base="1.0")
    stamp = node.check("1.1").get("stamp")
    version, again = node("remove", "1.0", "1.1", stamp).get("again").split()
    assert version == "1.1"
    assert again != stamp
    assert node.check("1.1", again).get("stamp") == again


# -- what saves time ----------------------------------------------------------------------------------------


def chosen(node, *words_):
    """A call as the shell that stays makes it, which has looked for openssl."""
    return node.sh(f"choose_hasher; {words(*words_)}")


def test_openssl_and_sha256sum_say_the_same_of_a_release(node):
    node.upload("1.0", {"server": "x", "data/-odd * name ": "y", "empty": ""})
    files = node.root / ".sando/lists/1.0/files"
    said = node.sh(f"choose_hasher; cd {quoted(str(node.release('1.0')))}; echo $hasher; hashes {files}")
    hasher, _, hashes = said.text.partition("\n")
    assert hasher == "openssl dgst -sha256 -r --"
    listing = listed(node.store / "1.0")
    assert hashes == "".join(f"{f.sha256}  {f.path}\n" for f in listing)
    names_ = [f.path for f in listing]
    assert chosen(node, "check", "1.0", *state(listing), "").get("stamp")
    assert chosen(node, "check", "1.0", *state(listing), "", *names_).get("stamp")
    assert node("check", "1.0", *state(listing), "", *names_).get("stamp")
    flip(node.release("1.0") / "server")
    assert chosen(node, "check", "1.0", *state(listing), "").text == "@needs look\n"
    assert chosen(node, "check", "1.0", *state(listing), "", *names_).text == "@needs look\n"


@pytest.mark.parametrize("says", ["echo SHA256=e3b0", "exit 1", "echo e3b0 '*/dev/null'"])
def test_an_openssl_that_speaks_otherwise_is_left_alone(dash, tmp_path, says):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "openssl"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    dash.env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    assert dash.sh("choose_hasher; echo $hasher").text == "sha256sum --\n"


def test_what_is_linked_from_a_release_that_is_known_is_not_hashed_again(dash, tmp_path):
    """Nor is it believed where it could not be linked, or where the release is not what it was."""
    dash.upload("1.0", {"same": "x", "other": "y"})
    stamp = dash.check("1.0").get("stamp")
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "sha256sum"
    program.write_text(
        f'#!/bin/sh\nfor f; do case $f in --) ;; *) echo "$f" >>{tmp_path}/hashed ;; esac; done\nexec /usr/bin/sha256sum "$@"\n'
    )
    program.chmod(0o755)
    dash.env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    assert dash.upload("1.1", {"same": "x", "other": "z"}, base="1.0", stamp=stamp).get("stamp")
    assert (tmp_path / "hashed").read_text() == "other\n"
    assert dash.release("1.1").joinpath("same").samefile(dash.release("1.0") / "same")
    restored(dash.release("1.0") / "same", flip)
    said = dash.upload("1.2", {"same": "x", "other": "w"}, base="1.0", stamp=stamp)
    assert said.get("needs") == "all of it: sha256 differs after the upload"


def test_files_that_cannot_be_linked_are_copied_and_hashed(dash, tmp_path):
    dash.upload("1.0", {"same": "x", "other": "y"})
    stamp = dash.check("1.0").get("stamp")
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "cp"
    program.write_text('#!/bin/sh\n[ "$1" != -pl ] || exit 1\nexec /bin/cp "$@"\n')
    program.chmod(0o755)
    dash.env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    said = dash.upload("1.1", {"same": "x", "other": "z"}, base="1.0", stamp=stamp)
    assert said.get("stamp")
    assert dash.release("1.1").joinpath("same").stat().st_nlink == 1
    program.write_text(
        '#!/bin/sh\n[ "$1" != -pl ] || exit 1\n/bin/cp "$@"; for t; do :; done; printf Y >"$t/same"\n'
    )
    said = dash.upload("1.2", {"same": "x", "other": "w"}, base="1.0", stamp=stamp)
    assert said.get("needs") == "all of it: sha256 differs after the upload"


def replaced(path):
    path.with_name("new").write_text("")
    path.with_name("new").rename(path)


FOLDER_CHANGES = {
    "added": lambda release: (release / "data/more").write_text(""),
    "removed": lambda release: (release / "data/deep/file").unlink(),
    "replaced": lambda release: replaced(release / "data/file"),
    "link": lambda release: to_link(release / "data/deep"),
    "manifest": lambda release: flip(release / "manifest.json"),
    "mode": lambda release: (release / "data").chmod(0o777),
}


@pytest.mark.parametrize("change", FOLDER_CHANGES.values(), ids=FOLDER_CHANGES)
def test_a_glance_finds_what_was_added_removed_or_replaced(node, change):
    said = node.upload("1.0", {"server": "x", "data/file": "y", "data/deep/file": "z"})
    stamp = said.get("glance")
    assert node.check("1.0").get("glance") == stamp
    assert node("survey", "glance", "1.0", stamp).text == ""
    node.upload("1.1", {"server": "x", "data/file": "y", "data/deep/file": "w"}, base="1.0")
    assert node("survey", "glance", "1.0", stamp).text == ""
    change(node.release("1.0"))
    assert node("survey", "glance", "1.0", stamp).get("needs") == "look"


def test_a_glance_at_a_release_that_is_not_there_says_so(node):
    assert node("glance", "1.0", "x").get("wrong") == "it is not there"
    node.upload("1.0", {"data/file": "y"})
    (node.release("1.0") / "manifest.json").unlink()
    assert node("glance", "1.0", "x").get("wrong") == "it has no manifest.json"


def test_an_offer_for_a_release_that_is_there_stages_nothing(node):
    node.upload("1.0", {"server": "x"})
    assert node("offer", 8, "1.0").text == "@there 1.0\n"
    assert names(node.root / ".sando/incoming") == []
    assert node("offer", 8, "1.1").get("staged")


def test_what_was_tried_once_is_not_tried_again(dash, tmp_path):
    dash.env = {"PATH": str(tools(tmp_path / "bin", ("mv",)))}
    (tmp_path / "bin/mv").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin/mv").chmod(0o755)
    assert "mv has no -T" in dash("prepare", 1).text
    assert dash("prepare", 1, "tried").status == 0


def test_a_switch_that_is_followed_by_a_command_tells_both(node):
    node.upload("1.0", {"server": "x"})
    run = ("n1", "", node.release("1.0"), "sh", "-c", "cat server; exit 3")
    said = node("switch_and_run", "1.0", 7, "", *run)
    assert node.link() == "releases/1.0"
    assert (said.get("status"), said.text.partition("@output of the command\n")[2]) == ("3", "x")


def test_a_command_does_not_follow_a_switch_that_was_refused(node, tmp_path):
    node.upload("1.0", {"server": "x"})
    run = ("n1", "", node.release("1.0"), "touch", tmp_path / "ran")
    node.current.symlink_to("/etc")
    assert node("switch_and_run", "1.0", 7, "", *run).get("link") == "/etc"
    assert node("switch_and_run", "2.0", 7, "force", *run).status == 1
    assert not (tmp_path / "ran").exists()
    assert node("switch_and_run", "1.0", 7, "force", *run).get("kept") == "current.kept-7"
    assert (tmp_path / "ran").exists()


# -- removal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["releases/1.0", "./releases/1.0", "{root}/releases/1.0", "releases/../releases/1.0/"]
)
def test_what_current_names_in_whatever_way_is_never_removed(node, target):
    node.upload("1.0")
    node.current.symlink_to(target.format(root=node.root))
    said = node("remove", "1.0")
    assert (said.status, said.text) == (1, "releases/1.0 is what current names\n")
    assert verify(node.release("1.0")) is None


def test_names_that_are_no_versions_are_not_told_and_not_removed(node, tmp_path):
    node.upload("1.0")
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in (".hidden", "my notes", "-option", "x" * 65, "1.0\n", "9\n@release 9.9"):
        (node.root / "releases" / name).mkdir()
    (node.release("2.0")).symlink_to(outside)
    (node.release("notes.txt")).touch()
    assert node("releases").text == "@release 1.0\n"
    for name in ("2.0", "3.0", "..", "../../outside", "notes.txt"):
        assert "is no release of this node" in node("remove", name).text
    assert outside.is_dir()


def test_what_cannot_be_removed_is_told_once_and_hinders_no_other(node):
    for version in ("1.0", "1.1", "1.2"):
        node.upload(version)
    with unremovable(node.release("1.0") / "VERSION"):
        said = node("remove", "1.0")
        assert said.status == 1
        assert (
            f"releases/1.0 is out of the way, but not all of it in {node.root}/.sando/trash can be"
            in said.text
        )
        assert node("remove", "1.1").text == ""
        assert names(node.root / "releases") == ["1.2"]
        assert node.upload("1.0").get("stamp")


@contextmanager
def unremovable(path):
    """For root neither, wherever it is moved to."""
    told = subprocess.run(["chattr", "+i", path], capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip(f"a file cannot be made immutable here: {told.stderr.strip()}")
    fd = os.open(path, os.O_RDONLY)
    try:
        yield
    finally:
        flags = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8)))[0]
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", flags & ~FS_IMMUTABLE))
        os.close(fd)


def test_a_folder_that_a_service_has_closed_is_removed_and_links_in_it_are_not_followed(node, tmp_path):
    node.upload("1.0")
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (node.release("1.0") / "cache/deep").mkdir(parents=True)
    (node.release("1.0") / "cache/link").symlink_to(outside)
    for name in ("cache/deep", "cache"):
        (node.release("1.0") / name).chmod(0)
    assert node("remove", "1.0").status == 0
    assert names(node.root / ".sando/trash") == []
    assert oct(outside.stat().st_mode) == "0o40500"


# -- commands -----------------------------------------------------------------------------------------------


def test_a_command_tells_its_pid_its_end_and_the_last_of_its_output(node):
    node("prepare", 0)
    said = node("run", "ab", "", node.root, "sh", "-c", "pwd; echo oops >&2; exit 3")
    assert (said.get("status"), said.get("size")) == ("3", str(len(f"{node.root}\noops\n")))
    assert said.text.endswith(f"@output of the command\n{node.root}\noops\n")
    assert int(said.get("pid")) > 1
    assert names(node.root / ".sando") == ["incoming", "lists", "trash"]


def test_a_command_runs_also_where_its_output_cannot_be_kept(node, tmp_path):
    node.root.mkdir()
    said = node("run", "ab", "", tmp_path, "sh", "-c", "echo heard; touch ran")
    assert said.get("status") == "0"
    assert (tmp_path / "ran").exists()


def test_a_command_with_a_limit_is_killed_then_and_whoever_has_its_number_later_is_not(node, tmp_path):
    node("prepare", 0)
    assert node("run", "ab", "0.3", node.root, "sleep", "60").get("status") == str(128 + signal.SIGKILL)
    killed = tmp_path / "killed"
    script = f'signal() {{ echo "$@" >{quoted(str(killed))}; }}\n' + words(
        "run", "cd", "0.3", node.root, "true"
    )
    assert node.sh(f"( {script} )\nsleep 0.6").get("status") == "0"
    assert not killed.exists()


def test_a_command_is_ended_with_all_that_it_started(node, tmp_path):
    node("prepare", 0)
    pids = tmp_path / "pids"
    wild = f"sleep 60 & echo $! >>{pids}; trap '' TERM; sh -c 'echo $$ >>{pids}; sleep 61'; sleep 62"
    thread = threading.Thread(target=node, args=("run", "ab", "", node.root, "sh", "-c", wild))
    thread.start()
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    leader = os.getsid(int(pids.read_text().split()[0]))
    node("finish", leader, 1)
    thread.join(10)
    until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))
