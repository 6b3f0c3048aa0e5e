"""A node that nobody confirms goes back by itself, and node and sando never both have the switch; local and over SSH."""

import os
import random
import signal
import subprocess
import threading
import time

import pytest

from sando.model.errors import WorkError
from sando.model.task import NodeFacts, Step
from sando.model.topology import Probe
from sando.work import dead_man
from sando.work.cancel import CancelToken
from sando.work.digest import listed
from sando.work.hosts.base import DeadMan
from sando.work.hosts.script import NODE_SH, quoted, words
from tests.work.nodes import Shop, names, until, write_release
from tests.work.sshds import farm, small_disk
from tests.work.wire import Wire

SOON, LATE = 0.25, 30.0
IN_TIME = 2.0  # for what has to be done before it is over, also on a machine that is busy
SLACK_S = 10.0
SHOW = 'pwd -P; env | grep "^SANDO_" | sort'


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with farm(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd("127.0.0.4")


@pytest.fixture(params=["local", "ssh"])
def shop(tmp_path, request):
    shop = Shop(tmp_path, sshd=None if request.param == "local" else request.getfixturevalue("machine"))
    yield shop
    shop.link.close()
    settled(shop)


@pytest.fixture
def remote(tmp_path, machine):
    """A node behind a wire."""
    with Wire(machine.host, machine.port) as wire:
        shop = Shop(tmp_path, sshd=machine, port=wire.port)
        yield shop, wire
        shop.link.close()
        settled(shop)


def settled(shop):
    """Nothing of this test is armed any more."""
    for path in deadman(shop).glob("*.armed"):
        path.rename(path.with_suffix(".claimed"))


def deadman(shop):
    return shop.root / ".sando/deadman"


def states(shop):
    return [name for name in names(deadman(shop)) if not name.endswith(".back")]


def two(shop, *, confirm=SOON, **keys):
    """1.0 runs, 2.0 is switched to with an armed switch."""
    shop.deploy("1.0")
    return again(shop, "2.0", confirm=confirm, **keys)


def again(shop, version, *, confirm=SOON, former="1.0", **keys):
    if not (shop.store / version).exists():
        write_release(shop.store, version)
    shop.do(Step.UPLOAD, version)
    begun = time.monotonic()
    shop.do(Step.SWITCH, version, former=former, previous="1.0", confirm_within_s=confirm, **keys)
    return begun


def back(shop, begun, seconds=SOON):
    """It went back by itself, in time and not before."""
    until(lambda: shop.names() == "releases/1.0", seconds + SLACK_S)
    assert time.monotonic() - begun > seconds / 2
    until(lambda: states(shop)[-1].endswith(".ended"))


def pass_the_time(seconds=SOON):
    """Until what must not happen would have happened."""
    threading.Event().wait(seconds + 0.2)


def failing(shop, step, version="2.0", **keys) -> WorkError:
    with pytest.raises(WorkError) as caught:
        shop.do(step, version, **keys)
    assert caught.value.step == step.value
    return caught.value


# -- the node by itself -------------------------------------------------------------------------------------


def test_a_node_that_is_confirmed_in_time_stays(shop):
    two(shop, confirm=IN_TIME)
    assert shop.do(Step.START, "2.0", former="1.0", confirm_within_s=IN_TIME).current == "2.0"
    assert states(shop) == ["7-1.claimed"]
    pass_the_time(IN_TIME)
    assert shop.names() == "releases/2.0"
    assert "a-1: goes back to 1.0 by itself unless confirmed within 2s" in shop.log
    assert "a-1: confirmed: the node stays on it" in shop.log


def test_a_node_that_nobody_confirms_goes_back_and_restarts_with_the_names_turned_round(shop):
    begun = two(shop, restart=f"{{ {SHOW}; }} >../../restarted.new; mv ../../restarted.new ../../restarted")
    back(shop, begun)
    folder = os.path.realpath(shop.root / "releases/1.0")
    assert (shop.root / "restarted").read_text() == (
        f"{folder}\nSANDO_NODE=a-1\nSANDO_PREVIOUS=2.0\nSANDO_RELEASE={shop.root}/releases/1.0\nSANDO_TIER=a\nSANDO_VERSION=1.0\n"
    )


def test_a_first_deploy_goes_back_to_no_current_and_runs_no_restart(shop):
    write_release(shop.store, "1.0")
    shop.do(Step.PREFLIGHT)
    again(shop, "1.0", former=None, restart="touch ../../restarted")
    until(lambda: not os.path.lexists(shop.current), SOON + SLACK_S)
    until(lambda: states(shop) == ["7-1.ended"])
    assert not (shop.root / "restarted").exists()


def test_a_foreign_current_that_was_moved_by_force_comes_back(shop):
    write_release(shop.store, "1.0")
    shop.root.mkdir()
    shop.current.mkdir()
    (shop.current / "by-hand").touch()
    shop.do(Step.PREFLIGHT, force=True)
    again(shop, "1.0", confirm=IN_TIME, former=None, force=True)
    assert shop.names() == "releases/1.0"
    until(lambda: not shop.current.is_symlink(), IN_TIME + SLACK_S)
    until(lambda: shop.current.exists() and names(shop.current) == ["by-hand"])


@pytest.mark.parametrize("target", ["releases/3.0", "/etc", None])
def test_a_current_that_somebody_else_has_changed_meanwhile_is_left_alone(shop, target):
    two(shop, confirm=IN_TIME, restart="touch ../../restarted")
    shop.current.unlink()
    if target:
        shop.current.symlink_to(target)
    until(lambda: states(shop) == ["7-1.claimed"], IN_TIME + SLACK_S)
    assert shop.names() == target
    assert not (shop.root / "restarted").exists()
    assert shop.host().claim(7) == "ours"


def test_a_node_whose_former_release_is_gone_stays_on_the_new_one(shop):
    two(shop, confirm=IN_TIME)
    (shop.root / "releases/1.0").rename(shop.folder / "gone")
    until(lambda: states(shop) == ["7-1.claimed"], IN_TIME + SLACK_S)
    assert shop.names() == "releases/2.0"
    assert shop.host().claim(7) == "ours"


def test_a_restart_that_fails_after_the_way_back_changes_nothing_about_it(shop):
    back(shop, two(shop, restart="exit 3"))
    back(shop, again(shop, "2.0", restart=("no-such-program",)))
    assert shop.host().claim(7) == "fired"


def test_the_way_back_needs_no_room_on_the_disk(shop):
    with small_disk(shop.root, 1, "mode=0755,nr_inodes=60") as disk:
        if disk.holder:
            pytest.skip("a disk that only the node sees is of no use to a local one")
        small = {"VERSION": "small"}
        for version, within in (("1.0", LATE), ("2.0", SOON)):
            source = write_release(shop.store, version, small)
            shop.host().prepare(need=0, files=0)
            shop.host().put_release(version, source, listed(source), 7, CancelToken())
            shop.host().switch(version, 7, force=False, dead_man=DeadMan(within, "1.0", None, {}))
        fill(disk.folder)
        until(lambda: shop.names() == "releases/1.0", SOON + SLACK_S)
        until(lambda: states(shop) == ["7-1.claimed", "7-2.ended"])
        shop.link.close()


def fill(folder):
    with pytest.raises(OSError, match="No space left"):
        (folder / "big").write_bytes(b"x" * 2**21)
    with pytest.raises(OSError, match="No space left"):
        [(folder / f"file-{number}").touch() for number in range(1000)]


# -- whoever comes first ------------------------------------------------------------------------------------


def test_of_node_and_sando_exactly_one_has_it_and_the_answer_is_what_happened(shop):
    shop.deploy("1.0")
    write_release(shop.store, "2.0")
    shop.do(Step.UPLOAD, "2.0")
    host, chance = shop.host(), random.Random(7)
    outcome = {}
    for operation in range(100, 170 if shop.sshd is None else 230):  # two hundred in all
        tiny = DeadMan(
            0.01 if operation % 2 else 0.04, "1.0", None, {}
        )  # on a busy machine the second is a race
        host.switch("2.0", operation, force=False, dead_man=tiny)
        threading.Event().wait(chance.random() * 0.015)
        while (answer := host.claim(operation)) == "firing":
            pass
        outcome[str(operation)] = {"ours": "claimed", "fired": "ended"}[answer]
        assert shop.names() == {"ours": "releases/2.0", "fired": "releases/1.0"}[answer]
    assert set(outcome.values()) == {"claimed", "ended"}
    assert {name[:3]: name[6:] for name in states(shop)} == outcome


def test_a_claim_while_the_node_goes_back_says_so_until_its_restart_has_ended(shop):
    two(shop, restart="while [ ! -e ../../go ]; do sleep 0.05; done")
    until(lambda: shop.names() == "releases/1.0", SOON + SLACK_S)
    until(lambda: states(shop) == ["7-1.moved"])
    assert shop.host().claim(7) == "firing"
    threading.Timer(0.3, (shop.root / "go").touch).start()
    facts = shop.do(Step.OBSERVE, "2.0", former="1.0", confirm_within_s=SOON, settles=True)
    assert facts == NodeFacts(current="1.0")
    assert states(shop) == ["7-1.ended"]
    assert "a-1: the node has gone back to 1.0 by itself" in shop.log


def test_a_claim_may_be_repeated_and_of_what_was_never_armed_there_is_none(shop):
    two(shop, confirm=LATE)
    assert [shop.host().claim(operation) for operation in (7, 7, 8)] == ["ours", "ours", "none"]


def test_a_switch_that_is_made_twice_counts_from_the_second_time(shop):
    """The answer to the first one was lost with the connection."""
    two(shop, confirm=IN_TIME)
    pass_the_time(0.2)
    begun = again(shop, "2.0", confirm=IN_TIME)
    assert states(shop) == ["7-1.claimed", "7-2.armed"]
    back(shop, begun, IN_TIME)
    assert time.monotonic() - begun > IN_TIME - 0.2
    assert shop.host().claim(7) == "fired"


@pytest.mark.parametrize("current, first", [("1.0", "claimed"), ("2.0", "ended")])
def test_a_switch_that_takes_longer_than_the_time_to_confirm_is_armed_all_the_same(tmp_path, current, first):
    """It is over before there is anything to put back, or what was put back is replaced; it counts anew from there."""
    shop = Shop(tmp_path)
    for version in ("1.0", "2.0"):
        shop.deploy(version)
    shop.host().switch(current, 6, force=False)
    root = quoted(str(shop.root))
    slow = f"point() {{ sleep 1.5; ln -s releases/2.0 {root}/new; mv -T {root}/new {root}/current; }}"
    call = words("switch", "2.0", 7, "", *DeadMan(1.0, "1.0", None, {}).words())
    subprocess.run(["sh", "-c", f"root={root}\n{NODE_SH}\n{slow}\n{call}"], check=True, timeout=20)
    begun = time.monotonic()
    assert shop.names() == "releases/2.0"
    assert states(shop) == [f"7-1.{first}", "7-2.armed"]
    back(shop, begun, 1.0)


def test_a_switch_that_fails_is_not_armed_any_more(shop):
    shop.deploy("1.0")
    shop.current.unlink()
    shop.current.mkdir()
    (shop.root / "current.kept-7").touch()
    error = failing(shop, Step.SWITCH, "1.0", force=True, confirm_within_s=LATE)
    assert "current.kept-7 is there already" in error.detail
    assert states(shop) == ["7-1.claimed"]


# -- other operations ---------------------------------------------------------------------------------------


def test_a_later_operation_is_not_disturbed_by_what_an_earlier_one_armed(shop):
    two(shop, confirm=IN_TIME, restart="touch ../../restarted")
    shop.operation = 8
    again(shop, "3.0", former="2.0", confirm=LATE)
    assert states(shop) == ["7-1.claimed", "8-1.armed"]
    pass_the_time(IN_TIME)
    assert shop.names() == "releases/3.0"
    shop.do(Step.REVERT, "3.0", former="2.0", confirm_within_s=LATE)
    assert shop.names() == "releases/2.0"
    assert not (shop.root / "restarted").exists()


def test_a_later_operation_waits_for_a_node_that_is_going_back(shop):
    two(shop, restart="sleep 1.5; touch ../../restarted")
    until(lambda: states(shop) == ["7-1.moved"], SOON + SLACK_S)
    shop.operation = 8
    again(shop, "3.0", confirm=None)
    assert (shop.root / "restarted").exists()
    assert shop.names() == "releases/3.0"


def test_leftovers_of_earlier_operations_are_swept(shop):
    shop.deploy("1.0")
    deadman(shop).mkdir(parents=True)
    for name in ("3-1.armed", "3-1.back", "4-1.ended", "5-1.claimed"):
        (deadman(shop) / name).touch()
        if name[0] != "5":
            os.utime(deadman(shop) / name, (1, 1))
    again(shop, "2.0", confirm=LATE)
    assert states(shop) == ["5-1.claimed", "7-1.armed"]


# -- connections that are lost ------------------------------------------------------------------------------

CUTS = {
    "the sessions end": lambda machine, wire: machine.kill_sessions(),
    "the wire is cut": lambda machine, wire: wire.cut(),
    "nothing passes any more": lambda machine, wire: wire.black_hole(),
    "sshd ends": lambda machine, wire: machine.stop(),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_node_that_is_cut_off_right_after_its_switch_goes_back(remote, machine, cut):
    shop, wire = remote
    begun = two(shop, restart="touch ../../restarted")
    cut(machine, wire)
    back(shop, begun)
    assert (shop.root / "restarted").exists()
    if machine.process is None:
        machine.start()
    wire.heal()
    error = failing(shop, Step.START, former="1.0", confirm_within_s=SOON)
    assert error.detail == (
        "the node went back to 1.0 by itself: it was not confirmed within 0s; "
        "raise confirm_within where restart and probe take longer"
    )
    assert shop.names() == "releases/1.0"


def test_twenty_times_a_node_is_cut_off_and_goes_back_each_time(remote):
    shop, wire = remote
    shop.deploy("1.0")
    write_release(shop.store, "2.0")
    shop.do(Step.UPLOAD, "2.0")
    for operation in range(20, 40):
        shop.host().switch("2.0", operation, force=False, dead_man=DeadMan(0.05, "1.0", None, {}))
        wire.cut()
        until(lambda: shop.names() == "releases/1.0", 0.05 + SLACK_S)
        until(lambda: not shop.link._line.is_open)


def test_a_local_node_goes_back_also_when_sandod_dies(tmp_path):
    shop = Shop(tmp_path)
    shop.deploy("1.0")
    child = os.fork()
    if not child:
        try:
            two(shop, confirm=IN_TIME)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert shop.names() == "releases/2.0"
    until(lambda: shop.names() == "releases/1.0", IN_TIME + SLACK_S)


# -- through the steps of a deploy --------------------------------------------------------------------------


def test_a_start_whose_probe_is_slower_than_the_time_to_confirm_fails_and_says_that_the_node_went_back(shop):
    two(shop)
    slow = Probe(command="[ -e ../../slept ] || { sleep 0.8; : >../../slept; }")
    error = failing(shop, Step.START, former="1.0", probe=slow, confirm_within_s=SOON)
    assert not error.errored
    assert (
        "the node went back to 1.0 by itself: it was not confirmed within 0s; raise confirm_within"
        in error.detail
    )
    assert shop.names() == "releases/1.0"
    assert shop.do(Step.REVERT, "2.0", former="1.0", confirm_within_s=SOON).current == "1.0"


@pytest.mark.parametrize("step, keys", [(Step.REVERT, {}), (Step.OBSERVE, {"settles": True})])
def test_sando_takes_the_switch_over_before_it_goes_back_or_says_anything(shop, step, keys):
    two(shop, confirm=IN_TIME, restart="touch ../../restarted")
    facts = shop.do(step, "2.0", former="1.0", confirm_within_s=IN_TIME, **keys)
    assert facts.current == ("1.0" if step is Step.REVERT else "2.0")
    assert states(shop) == ["7-1.claimed"]
    pass_the_time(IN_TIME)
    assert shop.names() == f"releases/{facts.current}"
    assert not (shop.root / "restarted").exists()


def test_a_look_outside_of_an_operation_does_not_take_it(shop):
    two(shop, confirm=LATE)
    assert shop.do(Step.OBSERVE, "2.0", former="1.0", confirm_within_s=LATE).current == "2.0"
    assert states(shop) == ["7-1.armed"]


@pytest.fixture
def patience(monkeypatch):
    monkeypatch.setattr(dead_man, "_BACK_OFF_S", (0.05, 0.1))


def test_a_node_that_cannot_be_reached_for_its_way_back_says_what_is_known(remote, patience):
    shop, wire = remote
    two(shop, confirm=LATE)
    wire.refuse()
    wire.cut()
    shop.link.close()
    begun = time.monotonic()
    error = failing(shop, Step.REVERT, former="1.0", confirm_within_s=0.3)
    assert error.errored
    assert "connection refused" in error.detail
    assert error.detail.endswith(
        "; it goes back to 1.0 by itself within 0s of its switch, unless a confirmation has reached it"
    )
    assert time.monotonic() - begun > 0.3
    error = failing(shop, Step.REVERT, former=None, confirm_within_s=0.1)
    assert error.detail.endswith(
        "; it goes back to nothing by itself within 0s of its switch, unless a confirmation has reached it"
    )
    error = failing(shop, Step.REVERT, former="1.0")
    assert error.detail.endswith("; what it runs stays as it is until it can be reached")
    error = failing(shop, Step.OBSERVE, former="1.0", confirm_within_s=60.0, settles=True)
    assert error.detail.endswith(
        "; it goes back to 1.0 by itself within 1m of its switch, unless a confirmation has reached it"
    )


def test_a_confirmation_that_cannot_be_given_says_what_will_happen(remote):
    shop, wire = remote
    two(shop, confirm=LATE)
    wire.refuse()
    wire.cut()
    error = failing(shop, Step.START, former="1.0", confirm_within_s=60.0)
    assert error.errored
    assert error.detail.endswith(
        "; it goes back to 1.0 by itself within 1m of its switch, unless a confirmation has reached it"
    )


def test_a_node_that_can_be_reached_again_in_time_is_taken_over(remote, patience):
    shop, wire = remote
    two(shop, confirm=LATE)
    wire.refuse()
    wire.cut()
    threading.Timer(0.3, wire.heal).start()
    facts = shop.do(Step.REVERT, "2.0", former="1.0", confirm_within_s=LATE)
    assert facts.current == "1.0"
    assert states(shop) == ["7-1.claimed"]
    assert shop.log.count("a-1: cannot be reached, trying again: ") == 1
