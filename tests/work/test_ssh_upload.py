"""Uploads to real sshd's: whatever the node has, lacks or does in the middle, a release is there whole or not at all."""

import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from sando.model.errors import WorkError
from sando.model.task import Step
from sando.work.digest import compare, listed, verify
from sando.work.hosts import Parcels, connect
from sando.work.hosts import parcel as making
from sando.work.hosts.ssh import calls
from tests.work import sshds
from tests.work.nodes import Shop, names, until, write_release
from tests.work.sshds import RUN, farm, on_path, small_disk, tools
from tests.work.test_parcel import build, noise, tree_of
from tests.work.wire import Wire

KINDS = {
    "GNU": None,
    "BusyBox": sshds.busybox,
    "no zstd": lambda folder: tools(folder, without=("zstd",)),
    "neither zstd nor gzip nor setsid": lambda folder: tools(folder, without=("zstd", "gzip", "setsid")),
    "no hard links": lambda folder: no_links(tools(folder, without=("cp", "ln"))),
}


def no_links(folder: Path) -> Path:
    """As on a file system that has none, or for a user who may not link what is another's."""
    for name, refused in (("cp", "-pl"), ("ln", "--")):
        (folder / name).write_text(
            f'#!/bin/sh\n[ "$1" != {refused} ] || {{ echo "{name}: Operation not permitted" >&2; exit 1; }}\nexec /bin/{name} "$@"\n'
        )
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """A node of each kind, begun when it is asked for first."""
    with farm(tmp_path_factory.mktemp("sshd")) as sshd:
        made = {}

        def machine(kind="GNU"):
            if kind not in made:
                programs = KINDS[kind]
                folder = tmp_path_factory.mktemp("node") / "bin"
                made[kind] = sshd("127.0.0.6", shell=programs and on_path(programs(folder)))
            return made[kind]

        yield machine


@contextmanager
def at(folder, sshd, port=None):
    shop = Shop(folder, sshd=sshd, port=port)
    try:
        yield shop
    finally:
        shop.link.close()


@pytest.fixture
def shop(tmp_path, machines):
    with at(tmp_path, machines()) as shop:
        yield shop


@pytest.fixture(params=["local", "ssh"])
def either(tmp_path, machines, request):
    with at(tmp_path, machines() if request.param == "ssh" else None) as shop:
        yield shop


@pytest.fixture
def wired(tmp_path, machines):
    machine = machines()
    with Wire(machine.host, machine.port) as wire, at(tmp_path, machine, wire.port) as shop:
        yield shop, wire


def put(shop, version, tree=None, *, host=None):
    if not (shop.store / version).exists():
        build(shop.store, version, tree or {"VERSION": (version.encode(), 0o644)})
    files, host = listed(shop.store / version), host or shop.host()
    host.prepare(need=0, files=0)
    host.put_release(version, shop.store / version, files, shop.operation, shop.cancel)
    return files


def refused(what, *words, **keys) -> str:
    with pytest.raises(WorkError) as caught:
        what(*words, **keys)
    assert caught.value.errored
    return caught.value.detail


def staged(shop):
    return names(shop.root / ".sando/incoming")


def release(shop, version):
    return shop.root / "releases" / version


LARGE = noise(600_000)
OLD = {
    "server": (LARGE, 0o755),
    "same": (b"s" * 5000, 0o644),
    "was": (b"moved" * 99, 0o644),
    "a b/$(x)": (b"1", 0o600),
}
NEW = {
    "server": (LARGE + b"!", 0o755),
    "same": (b"s" * 5000, 0o644),
    "dir/is": (b"moved" * 99, 0o644),
    "a b/$(x)": (b"2", 0o600),
}


# -- all kinds of nodes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_deploy_goes_its_whole_way_on_every_kind_of_node(tmp_path, machines, kind):
    with at(tmp_path, machines(kind)) as shop:
        for version, tree in (("1.0", OLD), ("2.0", NEW)):
            files = build(shop.store, version, tree)
            shop.deploy(version, restart="echo $SANDO_VERSION >>../../restarts")
            assert tree_of(release(shop, version)) == tree
            assert shop.host().check_release(version, files) is None
        linked = [(release(shop, "2.0") / name).stat().st_nlink for name in ("same", "dir/is")]
        assert linked == ([1, 1] if kind == "no hard links" else [2, 2])
        assert tree_of(release(shop, "1.0")) == OLD
        assert shop.do(Step.REVERT, "2.0", former="1.0").current == "1.0"
        again = {"former": "1.0", "confirm_within_s": 0.2, "restart": "echo back >>../../restarts"}
        shop.do(Step.SWITCH, "2.0", **again)
        until(lambda: (shop.root / "restarts").read_text() == "1.0\n2.0\nback\n")
        assert shop.do(Step.REVERT, "2.0", former="1.0").current == "1.0"
        assert shop.do(Step.PRUNE).removed == ("2.0",)
        assert (staged(shop), shop.host().releases()) == ([], ("1.0",))


def test_what_travels_is_what_the_node_lacks(wired):
    shop, wire = wired
    shop_sizes = []
    for version, tree in (("1.0", OLD), ("2.0", NEW)):
        build(shop.store, version, tree)
        shop.host().read_current()
        wire.reset()
        put(shop, version)
        shop_sizes.append(wire.sent)
        shop.host().switch(version, 1, force=False)
    assert shop_sizes[0] > len(LARGE)
    assert shop_sizes[1] < 30_000


@pytest.mark.parametrize("tool", ["tar", "sha256sum", "readlink"])
def test_a_tool_that_is_missing_is_named_at_preflight(tmp_path, machines, tool):
    with (
        farm(tmp_path / "sshd") as sshd,
        at(
            tmp_path, sshd("127.0.0.7", shell=on_path(tools(tmp_path / "bin", without=(tool, "xargs"))))
        ) as shop,
    ):
        write_release(shop.store, "1.0")
        assert f"lacks {tool} xargs; install what has it" in refused(shop.do, Step.PREFLIGHT)
        assert not (shop.root / "releases").exists()


# -- disks and rights ---------------------------------------------------------------------------------------


@contextmanager
def on_disk(tmp_path, machines, megabytes, options="mode=0755"):
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "node", megabytes, options))
        sshd = machines()
        if disk.holder is not None:
            sshd = stack.enter_context(farm(tmp_path / "sshd"))("127.0.0.8", shell=disk.on())
        yield stack.enter_context(at(tmp_path, sshd)), disk


def test_a_disk_that_is_too_small_is_told_before_anything_is_sent(tmp_path, machines):
    with on_disk(tmp_path, machines, 20) as (shop, disk):
        write_release(shop.store, "1.0")
        said = refused(shop.do, Step.PREFLIGHT)
        assert said.endswith(f"{shop.root}: 20 MiB free, 64 MiB needed; make room there")
        assert names(disk.seen / "releases") == names(disk.seen / ".sando/incoming") == []


def test_a_disk_that_is_full_in_the_middle_is_told_and_the_next_try_works(tmp_path, machines):
    with on_disk(tmp_path, machines, 3) as (shop, disk):
        put(shop, "1.0")
        shop.host().switch("1.0", 1, force=False)
        build(shop.store, "2.0", {"big": (noise(4 * 2**20), 0o644)})
        said = refused(put, shop, "2.0")
        assert (
            f"the upload could not be unpacked in {shop.root}/.sando/incoming; 0 KiB are free there" in said
        )
        assert names(disk.seen / ".sando/incoming") == []
        assert names(disk.seen / "releases") == ["1.0"]
        put(shop, "2.1", {"small": (noise(2**20), 0o644)})
        assert shop.host().read_current().version == "1.0"
        assert shop.host().releases() == ("1.0", "2.1")


def test_too_few_inodes_are_told(tmp_path, machines):
    with on_disk(tmp_path, machines, 100, "mode=0755,nr_inodes=50") as (shop, _):
        write_release(shop.store, "1.0")
        assert "inodes free, 68 needed; make room there" in refused(shop.do, Step.PREFLIGHT)


def test_a_disk_without_an_inode_left_is_told_and_nothing_is_left(tmp_path, machines):
    with on_disk(tmp_path, machines, 100, "mode=0755,nr_inodes=40") as (shop, disk):
        build(shop.store, "1.0", {f"file-{number}": (b"x", 0o644) for number in range(60)})
        assert "No space left on device; tar: " in refused(put, shop, "1.0")
        assert names(disk.seen / ".sando/incoming") == names(disk.seen / "releases") == []


@pytest.mark.parametrize(
    "options, said",
    [
        ("ro,mode=0755", "Read-only file system"),
        ("mode=0755,noexec", "is mounted noexec: nothing in it can be started"),
    ],
)
def test_a_disk_that_is_mounted_in_another_way_is_told_at_preflight(tmp_path, machines, options, said):
    with on_disk(tmp_path, machines, 100, options) as (shop, _):
        write_release(shop.store, "1.0")
        assert said in refused(shop.do, Step.PREFLIGHT)


def test_a_release_root_that_is_another_users_is_told_with_the_user_it_is_for(tmp_path):
    if os.getuid():
        shell, name = RUN, subprocess.check_output(["id", "-un"], text=True).strip()
    else:
        shell, name = (
            f"exec setpriv --reuid=65534 --clear-groups {RUN.splitlines()[-1].removeprefix('exec ')}",
            "nobody",
        )
    open_to_all = Path(tempfile.mkdtemp())
    open_to_all.chmod(0o755)
    try:
        with farm(tmp_path) as sshd, at(open_to_all, sshd("127.0.0.7", shell=shell)) as shop:
            write_release(shop.store, "1.0")
            shop.root.mkdir()
            shop.root.chmod(0o555)
            said = refused(shop.do, Step.PREFLIGHT)
            assert f"cannot make {shop.root}/releases" in said
            shop.root.chmod(0o777)
            assert shop.do(Step.PREFLIGHT).current is None
            shop.root.joinpath("releases").chmod(0o555)
            said = refused(shop.do, Step.PREFLIGHT)
            assert said == f"cannot write in {shop.root}/releases; give it to {name}, or mount it writable"
            shop.root.joinpath("releases").chmod(0o777)
    finally:
        shutil.rmtree(open_to_all)


def test_a_release_root_that_is_not_there_is_made_and_one_may_be_a_link(either):
    write_release(either.store, "1.0")
    elsewhere = either.folder / "elsewhere/deep"
    elsewhere.mkdir(parents=True)
    either.root.symlink_to(elsewhere)
    either.deploy("1.0")
    either.deploy("2.0")
    assert verify(elsewhere / "current") is None
    assert either.do(Step.REVERT, "2.0", former=None).current is None


@pytest.mark.parametrize("name", ["releases", ".sando"])
def test_a_planted_link_is_refused_at_preflight_and_nothing_behind_it_is_touched(either, name):
    write_release(either.store, "1.0")
    outside = either.folder / "outside"
    outside.mkdir()
    either.root.mkdir()
    (either.root / name).symlink_to(outside)
    assert f"unexpected link: {either.root}/{name} has to be a folder" in refused(either.do, Step.PREFLIGHT)
    assert names(outside) == []


# -- what is on the node already ----------------------------------------------------------------------------


def restored(path, change):
    before = path.lstat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)


def flip(path, byte=b"\0"):
    with path.open("r+b") as file:
        file.seek(100)
        file.write(byte)


@pytest.mark.parametrize("name", ["server", "same", "was"])
def test_one_flipped_byte_in_the_former_release_is_noticed_and_all_is_sent(wired, name):
    shop, wire = wired
    build(shop.store, "1.0", OLD)
    build(shop.store, "2.0", NEW)
    put(shop, "1.0")
    shop.host().switch("1.0", 1, force=False)
    restored(release(shop, "1.0") / name, flip)
    tampered = tree_of(release(shop, "1.0"))
    wire.reset()
    put(shop, "2.0")
    assert wire.sent > len(LARGE)
    assert tree_of(release(shop, "2.0")) == NEW
    assert {path.stat().st_nlink for path in release(shop, "2.0").rglob("*") if path.is_file()} == {1}
    assert tree_of(release(shop, "1.0")) == tampered != OLD
    assert staged(shop) == []


def to_link(path):
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


def to_fifo(path):
    path.unlink()
    os.mkfifo(path)


CHANGES = {
    "content": ("server", flip, "server: sha256 differs"),
    "mode": ("server", lambda path: path.chmod(0o775), "server: mode is 0775, not 0755"),
    "missing": ("same", lambda path: path.rename(path.with_name("other")), "missing: same"),
    "size": ("same", lambda path: path.write_text("x"), "same: has 1 bytes, not 5000"),
    "link": ("same", to_link, "same: is reached through a link"),
    "folder that is a link": ("a b", to_link, "a b/$(x): is reached through a link"),
}


@pytest.mark.parametrize("name, change, wrong", CHANGES.values(), ids=CHANGES)
def test_a_release_that_was_changed_by_hand_is_found_in_the_same_words(either, name, change, wrong):
    files = put(either, "1.0", OLD)
    assert either.host().check_release("1.0", files) is None
    (restored if change is not CHANGES["missing"][1] else lambda p, c: c(p))(
        release(either, "1.0") / name, change
    )
    assert either.host().check_release("1.0", files) == wrong
    assert either.host().check_release("1.0", None) == wrong
    assert compare(release(either, "1.0"), files) == wrong


def test_a_pipe_in_place_of_a_file_holds_nobody_up(either):
    files = put(either, "1.0", OLD)
    to_fifo(release(either, "1.0") / "same")
    assert "no regular file" in either.host().check_release("1.0", files)
    either.host().switch("1.0", 1, force=False)
    put(either, "2.0", NEW)
    assert tree_of(release(either, "2.0")) == NEW


def test_what_a_service_writes_beside_its_files_goes_into_no_other_release(either):
    files = put(either, "1.0", OLD)
    either.host().switch("1.0", 1, force=False)
    for name in ("__pycache__/x.pyc", "a b/database", "log"):
        path = release(either, "1.0") / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("written by the service")
    os.mkfifo(release(either, "1.0") / "socket")
    assert either.host().check_release("1.0", files) is None
    put(either, "2.0", NEW)
    assert tree_of(release(either, "2.0")) == NEW


@pytest.fixture
def asked(monkeypatch):
    """The stamp that each check of a release came with; empty: all of it is hashed."""
    said = []
    really = calls.Calls._once

    def once(self, call, seconds):
        if "check" in call:
            said.append(call[call.index("check") + 4])
        return really(self, call, seconds)

    monkeypatch.setattr(calls.Calls, "_once", once)
    return said


def test_a_check_on_a_new_connection_hashes_again(shop, machines, asked):
    files = put(shop, "1.0", OLD)
    for lose in (list, machines().kill_sessions, list, shop.link.close, list):
        lose()
        assert shop.host().check_release("1.0", files) is None
        assert bool(asked[-1]) == (lose is list)


def test_a_warm_check_after_another_upload_and_a_prune_need_not_hash(shop, asked):
    files = put(shop, "1.0", OLD)
    for version in ("2.0", "3.0"):
        put(shop, version, NEW)
        shop.host().switch(version, 1, force=False)
    shop.host().remove("2.0", 1)
    assert shop.host().check_release("3.0", listed(shop.store / "3.0")) is None
    assert len(asked) == 1
    assert asked[0]
    restored(release(shop, "1.0") / "server", flip)
    assert shop.host().check_release("1.0", files) == "server: sha256 differs"


def test_a_rollback_glances_at_a_release_of_many_files_and_looks_where_that_is_not_enough(
    shop, asked, monkeypatch
):
    monkeypatch.setattr("sando.work.hosts.ssh.inventory._MANY", 2)
    many = {f"data/{number}": (str(number).encode(), 0o644) for number in range(9)}
    files = put(shop, "1.0", many)
    asked.clear()
    assert shop.host().survey("1.0", shop.store / "1.0", files, hurry=True)[1] is None
    assert asked == []
    assert shop.host().survey("1.0", shop.store / "1.0", files, hurry=False)[1] is None
    assert len(asked) == 1
    (release(shop, "1.0") / "data/3").unlink()
    assert shop.host().survey("1.0", shop.store / "1.0", files, hurry=True)[1] == "missing: data/3"
    shop.host().remove("1.0", 1)
    assert shop.host().survey("1.0", shop.store / "1.0", files, hurry=True)[1] == "it is not there"
    few = put(shop, "2.0", {"data/1": (b"1", 0o644)})
    asked.clear()
    assert shop.host().survey("2.0", shop.store / "2.0", few, hurry=True)[1] is None
    assert len(asked) == 1


def test_the_base_is_what_runs_else_what_has_most_of_it_whatever_the_clock_says(shop):
    host, parts = shop.host(), {name: (noise(50_000, seed), 0o644) for seed, name in enumerate("abcd")}
    put(shop, "1.0", {name: parts[name] for name in "abc"})
    put(shop, "1.1", {"a": parts["a"]})
    for number, version in enumerate(("1.0", "1.1")):
        os.utime(release(shop, version), (number * 4 * 10**9, number * 4 * 10**9))  # 1970 and 2096
    files = put(shop, "2.0", parts)
    assert all((release(shop, "2.0") / name).samefile(release(shop, "1.0") / name) for name in "abc")
    host.switch("1.1", 1, force=False)
    put(shop, "2.1", {**parts, "e": (b"e", 0o644)})
    assert (release(shop, "2.1") / "a").samefile(release(shop, "1.1") / "a")
    assert (release(shop, "2.1") / "b").stat().st_nlink == 1
    assert host.check_release("2.0", files) is None


def test_a_base_that_left_the_store_meanwhile_is_not_needed(shop, monkeypatch):
    put(shop, "1.0", OLD)
    shop.host().switch("1.0", 1, force=False)
    build(shop.store, "2.0", NEW)
    really = making._make

    def without_base(wish, *words):
        shutil.rmtree(shop.store / "1.0", ignore_errors=True)
        return really(wish, *words)

    monkeypatch.setattr(making, "_make", without_base)
    put(shop, "2.0")
    assert tree_of(release(shop, "2.0")) == NEW


def test_a_store_that_is_not_as_it_was_built_is_told(shop):
    build(shop.store, "1.0", OLD)
    flip(shop.store / "1.0/server")
    said = refused(put, shop, "1.0")
    assert (
        said
        == f"1.0 does not arrive as it is in the store ({shop.store}/1.0): all of it: sha256 differs after the upload"
    )
    flip(shop.store / "1.0/server", LARGE[100:101])
    assert put(shop, "1.0")
    build(shop.store, "2.0", NEW)
    (shop.store / "2.0/server").unlink()
    said = refused(put, shop, "2.0")
    assert said == f"cannot pack 2.0 ({shop.store}/2.0): No such file or directory ({shop.store}/2.0/server)"
    assert shop.host().releases() == ("1.0",)


# -- connections that are lost ------------------------------------------------------------------------------


def test_an_upload_that_is_cut_anywhere_is_begun_once_more_and_arrives(wired):
    shop, wire = wired
    build(shop.store, "1.0", OLD)
    put(shop, "1.0")
    shop.host().switch("1.0", 1, force=False)
    build(shop.store, "2.0", {"big": (noise(400_000), 0o755), "text": (b"t" * 9000, 0o644)})
    wire.reset()
    put(shop, "2.0")
    size = wire.sent
    for number in range(40):
        shop.host().remove("2.0", 1)
        wire.reset()
        wire.cut_after(size * number // 40)
        put(shop, "2.0")
        assert wire.accepted == 1
        assert verify(release(shop, "2.0")) is None
        assert shop.names() == "releases/1.0"
        assert names(shop.root / "releases") == ["1.0", "2.0"]
        wire.heal()
    put(shop, "2.0")
    assert staged(shop) == []


def test_an_upload_that_is_cut_twice_leaves_nothing_under_its_name_and_the_next_one_sweeps(wired):
    shop, wire = wired
    put(shop, "1.0")
    shop.host().switch("1.0", 1, force=False)
    build(shop.store, "2.0", {"big": (noise(400_000), 0o755)})
    wire.cut_after(200_000)
    watch = threading.Thread(target=cut_again, args=(wire,))
    watch.start()
    said = refused(put, shop, "2.0")
    watch.join(20)
    assert "the connection was lost during receive" in said
    assert shop.names() == "releases/1.0"
    assert names(shop.root / "releases") == ["1.0"]
    put(shop, "2.0")
    assert verify(release(shop, "2.0")) is None
    assert staged(shop) == []


def cut_again(wire):
    until(lambda: wire.accepted == 2)
    wire.cut_after(200_000)


def test_an_upload_that_is_stuck_ends_by_its_deadline_and_is_not_begun_again(wired, monkeypatch):
    monkeypatch.setattr(calls, "PROGRESS_S", 0.6)
    shop, wire = wired
    put(shop, "1.0")
    shop.host().switch("1.0", 1, force=False)
    build(shop.store, "2.0", {"big": (noise(2**24), 0o755)})  # more than all sockets on the way hold
    wire.reset()
    wire.black_hole_after(100_000)
    said = refused(put, shop, "2.0")
    assert "has not moved for" in said
    assert wire.accepted == 0
    assert shop.names() == "releases/1.0"
    assert names(shop.root / "releases") == ["1.0"]
    wire.heal()
    put(shop, "2.0")
    assert verify(release(shop, "2.0")) is None
    assert staged(shop) == []


def test_an_sshd_that_is_killed_in_the_middle_is_found_again(tmp_path):
    with farm(tmp_path / "sshd") as sshd:
        machine = sshd("127.0.0.7")
        with Wire(machine.host, machine.port) as wire, at(tmp_path, machine, wire.port) as shop:
            build(shop.store, "1.0", {"big": (noise(400_000), 0o755)})
            shop.host().read_current()
            wire.black_hole_after(100_000)
            upload = threading.Thread(target=put, args=(shop, "1.0"))
            upload.start()
            machine.kill_sessions()
            wire.heal()
            upload.join(20)
            assert verify(release(shop, "1.0")) is None


# -- names --------------------------------------------------------------------------------------------------

NAMES = [
    "a b",
    " leading",
    "trailing ",
    "-rf",
    "--",
    "it's",
    '"quoted"',
    "$(touch x)",
    "`x`",
    "日本語",
    "é",
    "*",
    "?",
    "[a]",
    "~",
    "#",
    "!",
    "%s",
    "@say stamp",
    "a;b",
    "&",
    "dir with space/-x/é",
]


@pytest.mark.parametrize("kind", ["GNU", "BusyBox"])
def test_names_of_all_kinds_arrive_are_linked_and_are_found_when_they_change(tmp_path, machines, kind):
    with at(tmp_path, machines(kind)) as shop:
        tree = {name: (name.encode() * 3, 0o644) for name in NAMES}
        put(shop, "1.0", tree)
        shop.host().switch("1.0", 1, force=False)
        moved = {f"moved/{name}" if n % 2 else name: what for n, (name, what) in enumerate(tree.items())}
        files = put(shop, "2.0", moved)
        assert tree_of(release(shop, "2.0")) == moved
        assert {path.stat().st_nlink for path in release(shop, "2.0").rglob("*") if path.is_file()} == {1, 2}
        for name in ("trailing ", "dir with space/-x/é", "moved/ leading", "moved/-rf"):
            if name in moved:
                (release(shop, "2.0") / name).unlink()
                (release(shop, "2.0") / name).write_bytes(bytes(len(moved[name][0])))
                assert shop.host().check_release("2.0", files) == f"{name}: sha256 differs"
                (release(shop, "2.0") / name).write_bytes(moved[name][0])
                (release(shop, "2.0") / name).chmod(0o644)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\\b"])
def test_a_name_that_cannot_be_sent_is_refused_before_anything_is_sent(shop, name):
    files = build(shop.store, "1.0", {name: (b"x", 0o644), "fine": (b"y", 0o644)})
    said = f"the name {name!r} cannot be sent over ssh"
    assert refused(shop.do, Step.PREFLIGHT).startswith(said)
    source = shop.store / "1.0"
    assert refused(shop.host().put_release, "1.0", source, files, 7, shop.cancel).startswith(said)
    assert not shop.root.exists()


def test_a_path_with_all_that_shells_know_is_a_release_root_like_any_other(tmp_path, machines):
    folder = tmp_path / 'it\'s a $(touch x) "root"; -rf *é'
    folder.mkdir()
    with at(folder, machines()) as shop:
        for version, tree in (("1.0", OLD), ("2.0", NEW)):
            build(shop.store, version, tree)
            shop.deploy(version, restart="pwd -P")
            assert tree_of(release(shop, version)) == tree
        assert shop.do(Step.REVERT, "2.0", former="1.0").current == "1.0"
        assert f"{shop.root}/releases/1.0" in shop.log
    assert names(tmp_path) == [folder.name]


# -- many nodes ---------------------------------------------------------------------------------------------


def test_many_nodes_get_one_parcel_that_is_made_once_and_leave_nothing_behind(
    tmp_path, machines, monkeypatch
):
    made, really = [], making._make
    monkeypatch.setattr(making, "_make", lambda *words: made.append(words[0]) or really(*words))
    work = tmp_path / "work"
    work.mkdir()
    parcels, shop = Parcels(str(work)), Shop(tmp_path, sshd=machines())
    links = [connect(replace(shop.node, release_root=str(tmp_path / f"node-{n}")), parcels) for n in range(4)]
    for version, tree in (("1.0", OLD), ("2.0", NEW)):
        build(shop.store, version, tree)
        threads = [
            threading.Thread(target=put, args=(shop, version), kwargs={"host": link.host(shop.cancel)})
            for link in links
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        for number, link in enumerate(links):
            link.host(shop.cancel).switch(version, 1, force=False)
            assert tree_of(tmp_path / f"node-{number}/current") == tree
    assert [wish.version for wish in made] == ["1.0", "2.0"]
    assert names(work) == []
    for link in links:
        link.close()
