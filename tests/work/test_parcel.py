"""Parcels hold what a node lacks and no more, are made once for many, and make of the old release exactly the new one."""

import gzip
import io
import itertools
import os
import random
import shutil
import stat
import tarfile
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sando.model.errors import Cancelled, WorkError
from sando.model.release import MANIFEST, FileEntry, Manifest
from sando.work.cancel import CancelToken
from sando.work.digest import listed, scan, verify
from sando.work.hosts import packing
from sando.work.hosts import parcel as making
from sando.work.hosts.listing import refuse_odd_names, state
from sando.work.hosts.packing import zstd
from sando.work.hosts.parcel import Parcels, Wish
from tests.work.nodes import Shop, names, until
from tests.work.sshds import farm

FREE = CancelToken()
Tree = dict[str, tuple[bytes, int]]


def noise(size: int, seed: int = 1) -> bytes:
    """No compressor makes it smaller."""
    return random.Random(seed).randbytes(size)


def build(store: Path, version: str, tree: Tree) -> tuple[FileEntry, ...]:
    """A release of binary files with modes."""
    folder = store / version
    for name, (data, mode) in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(version, "a" * 40, "main", "Max", "a change", datetime.now(UTC), "mm", scan(folder))
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest.files


class Made:
    """What a node would unpack."""

    def __init__(self, parcel):
        self.parcel = parcel
        unpack = {"zstd": zstd.decompress, "gzip": gzip.decompress, "plain": bytes}[parcel.packing]
        with tarfile.open(fileobj=io.BytesIO(unpack(bytes(parcel.data)))) as tar:
            self.members = {m.name: (m, tar.extractfile(m).read() if m.isfile() else b"") for m in tar}

    def list(self, name):
        return self.members[name][1].decode().split("\0")[:-1]

    def lines(self, name):
        return [line.split("\t") for line in self.members[name][1].decode().splitlines()]

    def sent(self):
        return {
            name[5:]
            for name, (member, _) in self.members.items()
            if name.startswith("tree/") and member.isfile()
        }


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def make(store, files, old=(), *, packing="zstd", patches=True, parcels=None, base="1.0"):
    wish = Wish(store, "2.0", state(files), base if old else None, packing, patches=patches)
    return Made((parcels or Parcels()).get(wish, files, old, FREE))


# -- what is in them ----------------------------------------------------------------------------------------


def test_what_is_the_same_is_linked_what_moved_is_named_twice_and_only_the_rest_is_sent(store):
    old = build(
        store,
        "1.0",
        {"same": (b"s", 0o644), "was": (b"m", 0o755), "gone": (b"g", 0o644), "changed": (b"1", 0o644)},
    )
    files = build(
        store,
        "2.0",
        {"same": (b"s", 0o644), "dir/is": (b"m", 0o755), "changed": (b"2", 0o644), "new": (b"n", 0o600)},
    )
    made = make(store, files, old)
    assert made.parcel.base == "1.0"
    assert made.list("same") == ["same"]
    assert made.lines("moved") == [["was", "dir/is"]]
    assert made.lines("patches") == []
    assert made.sent() == {"changed", "new", MANIFEST}
    assert made.list("list/files") == ["changed", "dir/is", "new", "same"]
    assert made.list("list/folders") == ["dir"]
    assert made.members["tree/new"][0].mode == 0o600
    assert (made.members["tree/dir"][0].isdir(), made.members["tree/dir"][0].mode) == (True, 0o755)


def test_a_file_whose_mode_changed_and_an_empty_one_are_sent(store):
    old = build(store, "1.0", {"run": (b"x", 0o644), "empty": (b"", 0o644)})
    files = build(store, "2.0", {"run": (b"x", 0o755), "also-empty": (b"", 0o644)})
    assert make(store, files, old).sent() == {"run", "also-empty", MANIFEST}


def test_of_a_large_file_that_changed_a_little_a_small_patch_is_sent(store):
    data = noise(4 * 2**20)
    changed = bytearray(data)
    for place in range(0, len(data), len(data) // 10):  # 1 % in ten places, half of it inserted
        changed[place : place + 2048] = noise(4096, place)
    old = build(store, "1.0", {"server": (data, 0o755), "small": (b"a" * 1000, 0o644)})
    files = build(store, "2.0", {"server": (bytes(changed), 0o755), "small": (b"b" * 1000, 0o644)})
    made = make(store, files, old)
    assert made.lines("patches") == [["0", "755", "server"]]
    assert made.sent() == {"small", MANIFEST}
    assert made.parcel.size < len(data) * 0.03


@pytest.mark.parametrize(
    "was, now, patches",
    [
        (noise(2**20), noise(2**20, 2), True),
        (noise(2**16), noise(2**16) + b"x", True),
        (noise(2**20), noise(2**20) + b"x", False),
    ],
    ids=["nothing in common", "small", "a node without zstd"],
)
def test_where_a_patch_does_not_pay_the_file_is_sent(store, was, now, patches):
    old = build(store, "1.0", {"server": (was, 0o755)})
    files = build(store, "2.0", {"server": (now, 0o755)})
    made = make(store, files, old, patches=patches, packing="zstd" if patches else "gzip")
    assert made.lines("patches") == []
    assert made.sent() == {"server", MANIFEST}
    assert made.parcel.base is None


@pytest.mark.parametrize("packing", ["zstd", "gzip", "plain"])
def test_text_is_compressed_as_well_as_the_node_can_unpack_it(store, packing):
    files = build(store, "2.0", {"text": (b"all work and no play\n" * 50_000, 0o644)})
    made = make(store, files, packing=packing)
    assert made.parcel.packing == packing
    assert (made.parcel.size < 100_000) == (packing != "plain")


@pytest.mark.parametrize("packing", ["zstd", "gzip"])
def test_what_does_not_get_smaller_is_not_compressed(store, packing):
    files = build(store, "2.0", {"image": (noise(2**20), 0o644)})
    assert make(store, files, packing=packing).parcel.packing == "plain"


def test_one_image_among_much_text_does_not_keep_it_from_being_compressed(store):
    text = {f"text-{number}": (b"all work and no play\n" * 20_000, 0o644) for number in range(8)}
    files = build(store, "2.0", {"image": (noise(2**19), 0o644), **text})
    assert make(store, files).parcel.packing == "zstd"


def test_the_names_of_many_files_are_compressed_although_nothing_is_sent(store):
    tree = {f"a/folder/and/file-{number}": (b"%d" % number, 0o644) for number in range(500)}
    old, files = build(store, "1.0", tree), build(store, "2.0", tree)
    made = make(store, files, old)
    assert made.parcel.packing == "zstd"
    assert made.parcel.size < 20_000


def test_files_keep_the_time_of_the_store_patched_ones_too(store):
    data = noise(2**18)
    old = build(store, "1.0", {"server": (data, 0o755)})
    files = build(store, "2.0", {"server": (data + b"x", 0o755), "page.html": (b"<p>", 0o644)})
    for name in ("server", "page.html"):
        os.utime(store / "2.0" / name, (10**9, 10**9))
    made = make(store, files, old)
    assert [made.members[name][0].mtime for name in ("patch/0", "tree/page.html")] == [10**9, 10**9]


def test_a_link_that_took_the_place_of_a_file_in_the_store_is_not_followed(store):
    files = build(store, "2.0", {"passwd": (b"x", 0o644)})
    (store / "2.0/passwd").unlink()
    (store / "2.0/passwd").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="Too many levels"):
        make(store, files)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\\b", "\x1b[2J", "a\x7f", "a\x85b"])
def test_names_that_tools_print_in_ways_of_their_own_are_refused(name):
    with pytest.raises(WorkError) as caught:
        refuse_odd_names([FileEntry(name, 1, 0o644, "0" * 64)])
    assert caught.value.errored
    assert caught.value.detail == (
        f"the name {name!r} cannot be sent over ssh (a backslash or a control character is in it): rename it in the build"
    )


def test_names_that_look_odd_and_are_none_are_welcome():
    for name in ("a b", "Screenshot at 10.00\u202fAM.png", "日本語", "$(x)", "-rf", "'\"", "a\u200db", "*"):
        refuse_odd_names([FileEntry(name, 1, 0o644, "0" * 64)])


# -- how they are made --------------------------------------------------------------------------------------


@pytest.fixture
def count(monkeypatch):
    """How often one was made."""
    made = []
    really = making._make

    def counted(*words):
        made.append(words[0])
        return really(*words)

    monkeypatch.setattr(making, "_make", counted)
    return made


def test_for_many_nodes_it_is_made_once(store, count):
    files = build(store, "2.0", {"text": (b"x" * 10**6, 0o644)})
    parcels, found = Parcels(), []
    gate = threading.Barrier(8)

    def ask():
        gate.wait()
        found.append(make(store, files, parcels=parcels).parcel)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({id(parcel) for parcel in found}) == 1
    assert len(found) == 8
    assert len(count) == 1


def test_what_failed_is_made_anew_for_the_next_one_who_asks(store, count):
    files = build(store, "2.0", {"text": (b"x", 0o644)})
    parcels = Parcels()
    (store / "2.0/text").rename(store / "away")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            make(store, files, parcels=parcels)
    (store / "away").rename(store / "2.0/text")
    make(store, files, parcels=parcels)
    assert len(count) == 3
    assert parcels._making.keys() == parcels._made.keys()


def test_a_version_that_was_built_again_is_another_one(store):
    parcels = Parcels()
    files = build(store, "2.0", {"text": (b"red", 0o644)})
    first = make(store, files, parcels=parcels)
    shutil.rmtree(store / "2.0")
    second = make(store, build(store, "2.0", {"text": (b"green", 0o644)}), parcels=parcels)
    assert (first.members["tree/text"][1], second.members["tree/text"][1]) == (b"red", b"green")


def test_the_last_few_are_kept_and_one_in_use_outlives_being_forgotten(tmp_path, store, count):
    folder = tmp_path / "work"
    folder.mkdir()
    parcels = Parcels(str(folder))
    files = build(store, "2.0", {"text": (b"x" * 10**5, 0o644)})
    wishes = [Wish(store, "2.0", state(files), None, "plain", patches=n % 2 == 0) for n in range(2)]
    wishes += [Wish(store, "2.0", (str(n),), None, "plain", patches=True) for n in range(4)]
    kept = [parcels.get(wish, files, (), FREE) for wish in wishes]
    assert len(count) == 6
    assert parcels.get(wishes[-1], files, (), FREE) is kept[-1]
    assert parcels.get(wishes[0], files, (), FREE) is not kept[0]
    parcels.forget()
    assert Made(kept[1]).sent() == {"text", MANIFEST}
    assert names(folder) == []
    assert parcels.get(wishes[-1], files, (), FREE) is not kept[-1]


def test_what_is_forgotten_while_it_is_made_does_no_harm_later(store, monkeypatch):
    files = build(store, "2.0", {"text": (b"x", 0o644)})
    parcels, really = Parcels(), making._make

    def forgotten(*words):
        parcels.forget()
        return really(*words)

    monkeypatch.setattr(making, "_make", forgotten)
    parcels.get(Wish(store, "2.0", ("0",), None, "plain", patches=True), files, (), FREE)
    monkeypatch.setattr(making, "_make", really)
    for number in range(1, 8):
        parcels.get(Wish(store, "2.0", (str(number),), None, "plain", patches=True), files, (), FREE)
    assert len(parcels._made) == 4


def test_making_one_can_be_cancelled(store):
    files = build(store, "2.0", {"text": (b"x", 0o644)})
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        Parcels().get(Wish(store, "2.0", state(files), None, "plain", patches=True), files, (), cancel)


# -- what a real node makes of them -------------------------------------------------------------------------

PARTS = ["a", "b c", "-x", "é日", "$(touch x)", "it's", "*", '"', "...", "sub"]
LARGE = noise(150_000)
CONTENTS = [
    b"",
    b"\0\xff\n",
    b"text\n",
    b"x" * 3000,
    LARGE,
    LARGE + b"tail",
    LARGE[:70_000] + b"in the middle" + LARGE[70_000:],
]
MODES = [0o644, 0o755, 0o600, 0o444]

paths = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(
    paths, st.tuples(st.sampled_from(CONTENTS), st.sampled_from(MODES)), min_size=1, max_size=8
)


def possible(tree: Tree) -> Tree:
    """Without files that would have to be folders as well."""
    return {
        name: what for name, what in tree.items() if not any(other.startswith(f"{name}/") for other in tree)
    }


def changed(old: Tree, new: Tree, choose: random.Random) -> Tree:
    """Some of the old one under its name, some under another, and all of the new one."""
    kept = {name: what for name, what in old.items() if choose.random() < 0.6}
    moved = {f"moved/{number}": what for number, what in enumerate(old.values()) if choose.random() < 0.3}
    return possible({**kept, **moved, **new})


def tree_of(folder: Path) -> Tree:
    files = (path for path in folder.rglob("*") if not path.is_dir() and path.name != MANIFEST)
    return {
        str(path.relative_to(folder)): (path.read_bytes(), stat.S_IMODE(path.lstat().st_mode))
        for path in files
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with farm(tmp_path_factory.mktemp("sshd")) as sshd:
        shop = Shop(tmp_path_factory.mktemp("shop"), sshd=sshd("127.0.0.5"))
        yield shop
        shop.link.close()


numbers = itertools.count(1)


@given(old=trees, new=trees, choose=st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_on_a_node_a_parcel_makes_of_the_old_release_exactly_the_new_one(shop, old, new, choose):
    old = possible(old)
    new = changed(old, new, choose)
    host = shop.host()
    for tree in (old, new):
        version = f"1.{next(numbers)}"
        files = build(shop.store, version, tree)
        host.put_release(version, shop.store / version, files, 7, FREE)
        host.switch(version, 7, force=False)
        folder = shop.root / "releases" / version
        assert verify(folder) is None
        assert tree_of(folder) == tree
        assert host.check_release(version, files) is None
        assert names(shop.root / ".sando/incoming") == []
    former = shop.root / "releases" / f"1.{int(version[2:]) - 1}"
    assert tree_of(former) == old
    assert host.check_release(former.name, listed(shop.store / former.name)) is None
    for version in host.releases():
        if version != folder.name:
            host.remove(version, 7)


def test_a_long_way_down_and_a_long_name_arrive(shop):
    deep = "/".join(["d" * 200] * 8)
    tree = {f"{deep}/{'f' * 250}": (b"deep", 0o644), "n" * 255: (b"long", 0o755)}
    files = build(shop.store, "deep", tree)
    shop.host().put_release("deep", shop.store / "deep", files, 7, FREE)
    again = build(shop.store, "deeper", {**tree, "one": (b"more", 0o644)})
    shop.host().switch("deep", 7, force=False)
    shop.host().put_release("deeper", shop.store / "deeper", again, 7, FREE)
    assert tree_of(shop.root / "releases/deeper") == {**tree, "one": (b"more", 0o644)}
    assert (shop.root / "releases/deeper" / f"{deep}/{'f' * 250}").stat().st_nlink == 2


def test_more_files_move_than_are_worth_a_process_each(shop):
    tree = {f"old/{number}": (f"file {number}".encode(), 0o644) for number in range(300)}
    moved = {name.replace("old", "new"): what for name, what in tree.items()}
    for version, what in (("1.0", tree), ("2.0", moved)):
        files = build(shop.store, version, what)
        shop.host().put_release(version, shop.store / version, files, 7, FREE)
        shop.host().switch(version, 7, force=False)
        assert tree_of(shop.root / "releases" / version) == what
    made = make(shop.store, listed(shop.store / "2.0"), listed(shop.store / "1.0"))
    assert len(made.lines("moved")) == 200


@given(
    st.text(
        st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=120
    ).map(lambda name: name.strip("/") or "x"),
    st.sampled_from([0o644, 0o755, 0o600, 0o4755, 0o40755]),
    st.one_of(st.integers(0, 10**6), st.sampled_from([8**11 - 1, 8**11])),
    st.one_of(st.integers(0, 2**32), st.sampled_from([8**11, -1])),
)
def test_a_header_is_what_tarfile_would_write(name, mode, size, changed):
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if mode & 0o40000 else tarfile.REGTYPE
    info.size, info.mode, info.mtime = size, mode & 0o7777, changed
    assert packing._header(name, mode, size, changed) == info.tobuf(tarfile.GNU_FORMAT)


def test_what_is_begun_ahead_is_what_is_asked_for_later(store, count):
    files = build(store, "2.0", {"text": (b"x" * 10**5, 0o644)})
    parcels, wish = Parcels(), Wish(store, "2.0", state(files), None, "plain", patches=True)
    for _ in range(3):
        parcels.begin(wish, files, ())
    until(lambda: wish in parcels._made)
    begun = parcels._made[wish]
    assert parcels.get(wish, files, (), FREE) is begun
    assert len(count) == 1


def test_what_is_begun_ahead_and_cannot_be_made_is_told_to_who_asks(store):
    files = build(store, "2.0", {"text": (b"x", 0o644)})
    (store / "2.0/text").unlink()
    parcels, wish = Parcels(), Wish(store, "2.0", state(files), None, "plain", patches=True)
    parcels.begin(wish, files, ())
    until(lambda: wish not in parcels._making)
    with pytest.raises(FileNotFoundError):
        parcels.get(wish, files, (), FREE)


def test_what_was_begun_ahead_is_not_kept_when_its_operation_is_over_first(store, monkeypatch):
    files = build(store, "2.0", {"text": (b"x", 0o644)})
    parcels, really, made = Parcels(), making._make, threading.Event()

    def forgotten(*words):
        parcels.forget()
        made.set()
        return really(*words)

    monkeypatch.setattr(making, "_make", forgotten)
    parcels.begin(Wish(store, "2.0", state(files), None, "plain", patches=True), files, ())
    assert made.wait(10)
    until(lambda: not [t for t in threading.enumerate() if t.name == "parcel 2.0"])
    assert (parcels._made, parcels._making) == ({}, {})
