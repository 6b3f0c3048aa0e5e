"""A state or a file that sandod's user may not use: the start is refused with the path, whose it is, and what helps."""

import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest

from tests.system.sandod import COMMAND, START_S
from tests.system.workspace import tier

PLAIN = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Root without what makes it root: modes and owners bind it, as everybody else."""
NOBODY = 65534


@pytest.fixture
def kept(sandod):
    """A state that a sandod has left; its modes are opened again, so that it can be cleared away."""
    sandod.configure(tier("a")).start()
    sandod.bring("1.0", "a")
    assert sandod.stop() == 0
    yield sandod
    for path in (sandod.root, *sandod.root.iterdir()):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IRWXU)


def refused(sandod, *words):
    """(exit status, what it says) of a start that ends at once."""
    done = subprocess.run(
        [*PLAIN, *COMMAND, *words],
        env=sandod._env(), capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


CLOSED = {".": 0o555, "sando.db": 0o444, "work": 0o500, "work/logs": 0o500, "releases": 0o555}


@pytest.mark.parametrize(("place", "mode"), CLOSED.items())
def test_a_place_that_may_not_be_written_is_named_with_the_mode_that_it_needs(kept, place, mode):
    path = kept.root / place
    path.chmod(mode)
    status, said = refused(kept)
    path.chmod(0o700)
    assert status == 1
    assert f"sandod: {path}: has mode {mode:03o} and must be {'700' if path.is_dir() else '600'}" in said
    assert f"chmod u+rw{'x' if path.is_dir() else ''} {path}" in said


def of_somebody_else(sandod, name):
    """The folder, and who owns it now. Only root can give one away; another user names one of root's."""
    path = sandod.root / name
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
        return path, "nobody"
    sandod.config.write_text(sandod.config.read_text().replace(str(path), "/usr/lib"))
    return Path("/usr/lib"), "root"


@pytest.mark.parametrize("name", ["work", "releases"])
def test_a_folder_of_somebody_else_is_named_with_its_owner(kept, name):
    (kept.root / name).chmod(0o755)
    path, owner = of_somebody_else(kept, name)
    status, said = refused(kept)
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert status == 1
    assert f"{path}: belongs to {owner} (mode 755), and sandod runs as {me}" in said
    assert f"chown -R {me} {path}, or run sandod as {owner}" in said


@pytest.mark.parametrize("place", [".", "sando.db", "sando.db.lock"])
def test_a_store_of_somebody_else_is_named_with_its_owner(kept, place):
    if os.geteuid():  # only root can give one away
        return
    path = kept.root / place
    path.chmod(0o755 if path.is_dir() else 0o600)
    os.chown(path, NOBODY, NOBODY)
    status, said = refused(kept)
    assert status == 1
    assert f"{path}: belongs to nobody (mode " in said


def test_every_place_is_told_at_once(kept):
    for name in ("work", "releases"):
        (kept.root / name).chmod(0o500)
    _, said = refused(kept)
    assert said.count("must be 700") == 2


def test_root_itself_is_told_whose_state_it_writes_into(kept):
    if os.geteuid():
        return
    os.chown(kept.root / "work", NOBODY, NOBODY)
    kept.start()
    assert f"{kept.root}/work belongs to nobody, and this sandod runs as root" in kept.log.read_text()
    assert kept.stop() == 0


def test_a_file_system_that_is_read_only_is_told_as_such(kept):
    there = kept.root / "releases"
    bind = f'mount --bind {there} {there} && mount -o remount,bind,ro {there} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-ec", bind, "-", *COMMAND],
        env=kept._env(), capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{there}: its file system is mounted read-only" in done.stderr


@pytest.mark.parametrize("name", ["daemon.toml", "sando.toml"])
def test_a_config_file_that_may_not_be_read_is_named_with_its_owner_and_its_mode(kept, name):
    path = kept.root / name
    path.chmod(0o000)
    status, said = refused(kept)
    checked, checks = refused(kept, "--check")
    path.chmod(0o600)
    assert (status, checked) == (os.EX_CONFIG, 1)
    for text in (said, checks):
        assert f"{path}:1: file: cannot be read" in text
        assert f"belongs to uid {os.geteuid()} and has mode 000" in text


def test_a_folder_that_a_build_left_to_another_user_does_not_block_the_next_build(sandod):
    if os.geteuid():
        return
    sandod.before = PLAIN
    sandod.configure(tier("a")).start()
    sandod.commit("1.0", build=f"mkdir -p cache/deep; echo x > cache/deep/file; {sandod.stop_at('made')}")
    sandod.clone.push("main")
    sandod.reached("made")
    checkout = sandod.root / "work" / "checkout"
    for folder in (checkout / "server" / "cache", checkout / "server" / "cache" / "deep"):
        os.chown(folder, NOBODY, NOBODY)
    sandod.go("made")
    sandod.wait_event("BuildOk", version="1.0")
    sandod.commit("1.1")
    sandod.clone.push("main")
    sandod.wait_event("BuildOk", version="1.1")
    (aside,) = (sandod.root / "work").glob("checkout.aside-*")
    number = sandod.state()["tiers"][0]["gates"][0]["operation"]
    assert f"it is in {aside} now" in sandod.get(f"/operations/{number}/log").body
    assert (aside / "server/cache/deep/file").exists(), "what nobody may remove is still there"
    assert not (aside / "server/VERSION").exists(), "and nothing else"
    sandod.green("1.2")
    assert len(list((sandod.root / "work").glob("checkout.aside-*"))) == 1
    assert sandod.post("/promote/a?wait=60").status == 200
