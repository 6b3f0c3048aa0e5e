"""A local node's folder: the link is never absent or wrong for a reader, and what sando did not make is never lost."""

import errno
import fcntl
import multiprocessing
import os
import resource
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sando.model.errors import Cancelled, WorkError
from sando.model.task import Step
from sando.model.topology import NodeSpec
from sando.work.cancel import CancelToken
from sando.work.digest import listed, verify
from sando.work.hosts import Parcels, connect, shelf
from sando.work.hosts.base import MARGIN, named_by
from sando.work.hosts.local import LocalHost
from sando.work.hosts.ssh.host import SshLink
from tests.work.nodes import Shop, names, write_release


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


@pytest.fixture
def host(shop):
    return LocalHost(str(shop.root))


def put(shop, host, version, operation=7, cancel=None):
    source = shop.store / version
    if not source.exists():
        write_release(shop.store, version)
    host.prepare(need=0, files=0)
    host.put_release(version, source, listed(source), operation, cancel or CancelToken())


def test_the_target_says_which_transport_a_node_has():
    parcels = Parcels()
    assert isinstance(connect(NodeSpec("a-1", "local", "/srv/mnw"), parcels), LocalHost)
    assert isinstance(connect(NodeSpec("b-1", "deploy@b-1:22", "/srv/mnw"), parcels), SshLink)


@pytest.mark.parametrize(
    "target, version",
    [
        ("releases/1.0", "1.0"),
        ("./releases/1.0/", "1.0"),
        ("/srv/mnw/releases/1.0", "1.0"),
        ("releases/../releases/1.0", "1.0"),
        ("releases", None),
        ("releases/.hidden", None),
        ("releases/1.0/sub", None),
        ("/etc", None),
        ("../other/releases/1.0", None),
        ("releases/..", None),
        ("/srv/mnw2/releases/1.0", None),
    ],
)
def test_only_a_link_right_into_releases_names_a_version(target, version):
    assert named_by(target, "/srv/mnw") == version


# -- the switch ---------------------------------------------------------------------------------------------


def read(root: str, count: int, done, out) -> None:
    """Read through `current`, `count` times at least and until `done`: one file by its path, or two of one folder."""
    failures, mixed, seen, turn = 0, 0, set(), 0
    while turn < count or not done.is_set():
        turn += 1
        try:
            if turn % 2:
                seen.add(Path(f"{root}/current/VERSION").read_text("ascii"))
                continue
            folder = os.open(f"{root}/current", os.O_RDONLY | os.O_DIRECTORY)
            try:
                texts = set()
                for name in ("VERSION", "again"):
                    fd = os.open(name, os.O_RDONLY, dir_fd=folder)
                    texts.add(os.read(fd, 100))
                    os.close(fd)
            finally:
                os.close(folder)
            mixed += len(texts) != 1
        except OSError:
            failures += 1
    out.put((failures, mixed, seen))


def test_a_hundred_thousand_reads_by_two_readers_during_a_thousand_switches_never_fail_or_mix(shop, host):
    for version in ("1.0", "2.0"):
        write_release(shop.store, version, {"VERSION": version, "again": version})
        put(shop, host, version)
    host.switch("1.0", 1, force=True)
    fork = multiprocessing.get_context("fork")
    out, done = fork.Queue(), fork.Event()
    readers = [fork.Process(target=read, args=(str(shop.root), 50_000, done, out)) for _ in range(2)]
    for reader in readers:
        reader.start()
    switches = 0
    while switches < 1000 or out.empty():
        switches += 1
        version = ("2.0", "1.0")[switches % 2]
        host.switch(version, 1, force=True)
        assert shop.names() == f"releases/{version}"
        if switches == 1000:
            done.set()
    answers = [out.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(10)
    assert [(failures, mixed) for failures, mixed, _ in answers] == [(0, 0), (0, 0)]
    assert set.union(*(seen for _, _, seen in answers)) == {"1.0", "2.0"}
    assert names(shop.root) == [".sando", "current", "releases"]
    assert names(shop.root / ".sando" / "incoming") == []


def test_a_switch_is_read_back_and_another_hand_on_the_link_is_told(shop, host, monkeypatch):
    put(shop, host, "1.0")
    rename = Path.rename

    def meddled(self, target):
        rename(self, target)
        Path(target).unlink()
        Path(target).symlink_to("releases/other")

    monkeypatch.setattr(Path, "rename", meddled)
    with pytest.raises(
        WorkError, match=r"names releases/other right after it was switched to releases/1.0: who else"
    ):
        host.switch("1.0", 1, force=True)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda p: p.symlink_to("/etc")])
def test_a_foreign_current_is_kept_beside_and_put_back(shop, host, make):
    put(shop, host, "1.0")
    make(shop.current)
    before = host.read_current()
    assert before.foreign
    assert host.switch("1.0", 7, force=True) == "current.kept-7"
    assert host.read_current().version == "1.0"
    assert host.unlink(7) == before.foreign
    assert host.read_current() == before
    assert names(shop.root) == [".sando", "current", "releases"]


def test_what_is_kept_is_never_overwritten(shop, host):
    put(shop, host, "1.0")
    (shop.root / "current.kept-7").write_text("mine")
    shop.current.mkdir()
    with pytest.raises(WorkError, match=r"current.kept-7 is there already"):
        host.switch("1.0", 7, force=True)
    assert shop.current.is_dir()
    assert (shop.root / "current.kept-7").is_symlink() is False


def test_a_switch_that_cannot_be_made_leaves_a_foreign_folder_where_it_was(shop, host, monkeypatch):
    put(shop, host, "1.0")
    shop.current.mkdir()
    rename = Path.rename

    def full(self, target):
        if self.is_symlink():
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(WorkError, match=r"cannot switch .*current: No space left on device"):
        host.switch("1.0", 7, force=True)
    assert shop.current.is_dir()
    assert not shop.current.is_symlink()


def test_unlinking_where_there_is_no_link_does_nothing_and_a_folder_is_left_alone(shop, host):
    assert host.unlink(1) is None
    assert not shop.root.exists()
    host.prepare(need=0, files=0)
    shop.current.mkdir()
    with pytest.raises(WorkError, match=r"is no link any more: left alone"):
        host.unlink(1)


# -- preparing ----------------------------------------------------------------------------------------------


def test_preparing_makes_the_root_and_leaves_no_trace_of_its_trial(shop, host):
    host.prepare(need=0, files=0)
    assert names(shop.root) == [".sando", "releases"]
    assert names(shop.root / "releases") == []


def test_a_root_that_cannot_be_made_is_told_with_the_user_it_is_for(shop):
    shop.folder.joinpath("file").write_text("")
    with pytest.raises(
        WorkError, match=r"cannot make .*file/node: Not a directory; make it, and give it to the user"
    ):
        LocalHost(str(shop.folder / "file" / "node")).prepare(need=0, files=0)


UNWRITTEN = {
    errno.EROFS: r"Read-only file system .*; .*ReadWritePaths=",
    errno.ENOSPC: r"No space left on device .*; make room there: bytes or inodes are used up \(df, df -i\)$",
    errno.EDQUOT: r"Disk quota exceeded .*; make room there, or raise the quota of the user of sandod$",
    errno.EACCES: rf"Permission denied .*; give it to the user of sandod \(uid {os.getuid()}\)$",
}


@pytest.mark.parametrize(("number", "told"), UNWRITTEN.items(), ids=map(errno.errorcode.get, UNWRITTEN))
def test_a_root_that_cannot_be_written_is_told_with_what_mends_it(shop, host, monkeypatch, number, told):
    def refused(self, *_args, **_keys):
        raise OSError(number, os.strerror(number), str(self))

    shop.root.mkdir()
    monkeypatch.setattr(Path, "symlink_to", refused)
    with pytest.raises(WorkError, match=rf"cannot write in .*node: {told}") as caught:
        host.prepare(need=0, files=0)
    assert caught.value.errored


def statvfs(free: int, inodes: int):
    def answer(path):
        real = list(os.statvfs(path))
        real[1], real[4], real[7] = 1, free, inodes
        return os.statvfs_result(real)

    return answer


def test_a_disk_with_too_little_room_or_inodes_is_told_with_both_numbers(shop):
    with pytest.raises(WorkError, match=r"node: 10 MiB free, 74 MiB needed; make room there"):
        LocalHost(str(shop.root), statvfs(10 * 2**20, 10)).prepare(need=MARGIN + 10 * 2**20, files=0)
    with pytest.raises(WorkError, match=r"node: 10 inodes free, 100 needed"):
        LocalHost(str(shop.root), statvfs(10 * 2**30, 10)).prepare(need=1, files=100)


@pytest.mark.parametrize("name", ["releases", ".sando", ".sando/incoming"])
def test_a_planted_link_in_place_of_a_folder_is_refused_and_nothing_behind_it_is_touched(shop, host, name):
    outside = shop.folder / "outside"
    outside.mkdir()
    (shop.root / name).parent.mkdir(parents=True)
    (shop.root / name).symlink_to(outside)
    with pytest.raises(WorkError, match=f"unexpected link: .*{name} has to be a folder"):
        host.prepare(need=0, files=0)
    assert names(outside) == []


# -- uploads ------------------------------------------------------------------------------------------------


def test_an_upload_is_complete_with_modes_and_manifest_and_leaves_nothing_staged(shop, host):
    old = os.umask(0o077)
    try:
        write_release(shop.store, "1.0", {"bin/server": "#!/bin/sh\n", "data/deep/er": "x"})
        put(shop, host, "1.0")
    finally:
        os.umask(old)
    folder = shop.root / "releases" / "1.0"
    assert verify(folder) is None
    assert oct(folder.stat().st_mode & 0o777) == oct((folder / "data/deep").stat().st_mode & 0o777) == "0o755"
    assert names(shop.root / ".sando" / "incoming") == []


def test_a_file_that_changed_in_the_store_is_found_after_the_copy(shop, host):
    write_release(shop.store, "1.0")
    (shop.store / "1.0" / "VERSION").write_text("1.1")
    with pytest.raises(
        WorkError, match=r"1.0 differs from its manifest after the copy: VERSION: sha256 differs"
    ):
        put(shop, host, "1.0")
    assert host.releases() == ()
    assert names(shop.root / ".sando" / "incoming") == []


def test_a_file_that_is_gone_from_the_store_is_named(shop, host):
    write_release(shop.store, "1.0")
    (shop.store / "1.0" / "VERSION").unlink()
    with pytest.raises(WorkError, match=r"cannot copy 1.0 to .*: No such file or directory \(.*VERSION\)"):
        put(shop, host, "1.0")


def test_a_link_that_took_the_place_of_a_file_in_the_store_is_not_followed(shop, host):
    write_release(shop.store, "1.0")
    (shop.store / "1.0" / "VERSION").unlink()
    (shop.store / "1.0" / "VERSION").symlink_to("/etc/passwd")
    with pytest.raises(WorkError, match=r"symbolic links"):
        put(shop, host, "1.0")


def test_an_upload_that_the_system_cuts_short_leaves_nothing_and_says_why(shop, host):
    write_release(shop.store, "1.0", {"big": "x" * 100_000})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(WorkError, match=r"cannot copy 1.0 to .*node: File too large") as caught:
            put(shop, host, "1.0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errored
    assert host.releases() == ()
    assert names(shop.root / ".sando" / "incoming") == []


def test_a_cancelled_upload_leaves_nothing(shop, host):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        put(shop, host, "1.0", cancel=cancel)
    assert host.releases() == ()
    assert names(shop.root / ".sando" / "incoming") == []


def test_a_damaged_release_is_replaced_whole(shop, host):
    put(shop, host, "1.0")
    folder = shop.root / "releases" / "1.0"
    (folder / "VERSION").write_text("bad")
    (folder / "stray").write_text("from before")
    assert host.check_release("1.0", listed(shop.store / "1.0")) == "VERSION: sha256 differs"
    put(shop, host, "1.0")
    assert verify(folder) is None
    assert not (folder / "stray").exists()
    assert names(shop.root / ".sando" / "trash") == []


def test_what_a_killed_upload_left_is_swept_and_what_somebody_uploads_is_not(shop, host):
    host.prepare(need=0, files=0)
    incoming = shop.root / ".sando" / "incoming"

    def leave():
        for name in ("3", "4", "5-1", "6-1"):
            (incoming / name).mkdir(exist_ok=True)
            (incoming / name / "half").write_text("x")
        for name in ("3", "5-1"):
            os.utime(incoming / name, (1, 1))

    leave()
    with holding(incoming):
        host.prepare(need=0, files=0)
        assert names(incoming) == ["4", "6-1"], "a day old it is nobody's, whatever is uploaded"
    leave()
    assert [Path(path).name for path in host.leftovers()] == ["3", "4", "5-1"]
    host.sweep()
    assert names(incoming) == ["6-1"], "an upload over SSH holds no lock: it is left for an hour"


def test_an_upload_is_seen_to_be_under_way(shop, host, monkeypatch):
    seen = []
    copy = shelf.copy_release

    def look(*words):
        copy(*words)
        seen.append(LocalHost(str(shop.root)).leftovers())

    monkeypatch.setattr(shelf, "copy_release", look)
    put(shop, host, "1.0")
    assert seen == [()]


@contextmanager
def holding(folder):
    """As an upload under way holds it, in another process or in this one."""
    fd = os.open(folder, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    yield
    os.close(fd)


def test_a_release_is_checked_against_the_stores_list_or_its_own(shop, host):
    put(shop, host, "1.0")
    files = listed(shop.store / "1.0")
    assert host.check_release("1.0", files) is None
    assert host.check_release("1.0", None) is None
    assert host.check_release("2.0", None) == "it is not there"
    other = write_release(shop.folder / "other", "1.0", {"VERSION": "1.x"})
    assert host.check_release("1.0", listed(other)) == "VERSION: sha256 differs"
    (shop.root / "releases" / "1.0" / "manifest.json").unlink()
    assert host.check_release("1.0", files) == "it has no manifest.json"
    (shop.root / "releases" / "3.0").symlink_to("1.0")
    assert host.check_release("3.0", None) == "it is reached through a link"


# -- removal ------------------------------------------------------------------------------------------------


def test_what_current_names_cannot_be_removed_nor_what_is_no_release(shop, host):
    put(shop, host, "1.0")
    host.switch("1.0", 1, force=True)
    with pytest.raises(WorkError, match=r"releases/1.0 is what current names"):
        host.remove("1.0", 1)
    outside = shop.folder / "outside"
    outside.mkdir()
    (shop.root / "releases" / "2.0").symlink_to(outside)
    for name in ("2.0", "3.0", "..", "../../outside"):
        with pytest.raises(WorkError, match=r"is no release of this node"):
            host.remove(name, 1)
    assert outside.is_dir()


def test_removal_does_not_follow_links_inside_a_release(shop, host):
    put(shop, host, "1.0")
    outside = shop.folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (shop.root / "releases" / "1.0" / "shared").symlink_to(outside)
    host.remove("1.0", 1)
    assert (outside / "precious").exists()
    assert names(shop.root / ".sando" / "trash") == []


VERSIONS = ["1.0", "1.1", "2.0", "2.0+g1a2b3c4", "3.0-rc1"]
FOREIGN = [".hidden", "with space", "-option", "x" * 65, "~"]


@given(
    present=st.sets(st.sampled_from(VERSIONS)),
    foreign=st.sets(st.sampled_from(FOREIGN)),
    files=st.sets(st.sampled_from(["4.0", "notes.txt"])),
    links=st.sets(st.sampled_from(["5.0", "6.0"])),
    keep=st.sets(st.sampled_from(VERSIONS)),
    current=st.sampled_from([None, *VERSIONS]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_pruning_keeps_current_what_is_to_be_kept_and_everything_unknown(
    present, foreign, files, links, keep, current
):
    folder = Path(tempfile.mkdtemp(prefix="sando-prune-"))
    try:
        shop = Shop(folder)
        releases = shop.root / "releases"
        for name in present | foreign:
            (releases / name / "sub").mkdir(parents=True)
        releases.mkdir(parents=True, exist_ok=True)
        for name in files:
            (releases / name).write_text("x")
        for name in links:
            (releases / name).symlink_to(folder)
        if current:
            shop.current.symlink_to(f"releases/{current}")
        facts = shop.do(Step.PRUNE, keep=tuple(keep))
        gone = present - keep - {current}
        assert set(facts.removed) == gone
        assert facts.detail == ""
        assert set(names(releases)) == (present - gone) | foreign | files | links
    finally:
        shutil.rmtree(folder)
