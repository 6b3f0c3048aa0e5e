"""The steps of a deploy on a local node, with real folders, commands, services and probes."""

import json
import os
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from sando.model.errors import Cancelled, WorkError
from sando.model.task import NodeFacts, Step
from sando.model.topology import GateSpec, Probe
from sando.work.boot import free_port
from sando.work.digest import verify
from sando.work.hosts.base import MARGIN
from sando.work.hosts.local import LocalHost
from tests.work.nodes import AT_ONCE_S, SERVER, Answering, Shop, alive, kill, names, until, write_release
from tests.work.sshds import farm


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One machine for all tests; each has a release root of its own there."""
    with farm(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd("127.0.0.3")


@pytest.fixture(params=["local", "ssh"])
def shop(tmp_path, keepers, request):
    """The same scenarios, whatever the transport, with equal results."""
    shop = Shop(tmp_path, keepers, sshd=None if request.param == "local" else request.getfixturevalue("node"))
    yield shop
    shop.link.close()


def failing(shop, step, version="1.0", **keys) -> WorkError:
    with pytest.raises(WorkError) as caught:
        shop.do(step, version, **keys)
    assert caught.value.step == step.value
    return caught.value


# -- preflight ----------------------------------------------------------------------------------------------


def test_preflight_of_a_new_node_makes_its_folder_and_finds_nothing(shop):
    write_release(shop.store, "1.0")
    assert shop.do(Step.PREFLIGHT) == NodeFacts(current=None, has_release=False)
    assert names(shop.root) == [".sando", "releases"]
    assert "sando: a-1: preflight ok, current is not there" in shop.log


def test_preflight_tells_what_is_current_and_whether_the_release_is_there(shop):
    shop.deploy("1.0")
    assert shop.do(Step.PREFLIGHT) == NodeFacts(current="1.0", has_release=True)
    write_release(shop.store, "2.0")
    assert shop.do(Step.PREFLIGHT, "2.0") == NodeFacts(current="1.0", has_release=False)


@pytest.mark.parametrize(
    "make, said",
    [
        (Path.mkdir, "a folder"),
        (Path.touch, "a file"),
        (lambda p: p.symlink_to("/etc"), "a link to /etc"),
        (lambda p: p.symlink_to("releases"), "a link to releases"),
        (lambda p: p.symlink_to("gone\x1b[2J"), "a link to gone\\x1b[2J"),
    ],
)
def test_a_current_that_is_no_link_into_releases_is_refused_and_with_force_only_told(shop, make, said):
    write_release(shop.store, "1.0")
    shop.root.mkdir()
    make(shop.current)
    error = failing(shop, Step.PREFLIGHT)
    assert error.errored
    assert error.detail == (
        f"{shop.current} is {said}, no link into releases/: "
        "move it away, or promote with force (it is then kept beside)"
    )
    facts = shop.do(Step.PREFLIGHT, force=True)
    assert facts == NodeFacts(current=None, detail=f"current is {said}, no link into releases/")
    assert os.path.lexists(shop.current)


def test_a_current_whose_release_is_gone_is_told_and_may_be_uploaded_again(shop):
    write_release(shop.store, "1.0")
    (shop.root / "releases").mkdir(parents=True)
    shop.current.symlink_to("releases/1.0")
    said = "current names 1.0, whose folder is not there"
    assert shop.do(Step.PREFLIGHT) == NodeFacts(current="1.0", has_release=False, detail=said)
    assert shop.do(Step.UPLOAD).has_release
    assert (shop.current / "VERSION").read_text() == "1.0"


def test_a_release_that_is_nowhere_is_refused_before_anything_is_made(shop):
    error = failing(shop, Step.PREFLIGHT)
    assert error.errored
    assert error.detail == (
        f"release 1.0 is not in the store ({shop.store}), and on the node: it is not there"
    )
    assert not shop.root.exists()


def test_a_release_that_only_the_node_still_has_is_good_enough_when_it_is_whole(shop):
    shop.deploy("1.0")
    (shop.store / "1.0").rename(shop.store / "away")
    assert shop.do(Step.PREFLIGHT).has_release
    (shop.current / "VERSION").write_text("bad")
    shop.deploy("2.0")
    said = failing(shop, Step.PREFLIGHT).detail
    assert said.endswith("and on the node: VERSION: sha256 differs")


def test_free_space_is_asked_for_twice_the_release_and_a_margin_unless_it_is_there(shop):
    write_release(shop.store, "1.0", {"big": "x" * 2**20})

    def statvfs(path):
        real = list(os.statvfs(path))
        real[1], real[4] = 1, MARGIN + 2**21 - 1
        return os.statvfs_result(real)

    host = LocalHost(str(shop.root), statvfs)
    error = failing(shop, Step.PREFLIGHT, host=host)
    assert error.errored
    assert "66 MiB free, 66 MiB needed; make room there" in error.detail
    shop.do(Step.UPLOAD)
    assert shop.do(Step.PREFLIGHT, host=host).has_release


# -- upload -------------------------------------------------------------------------------------------------


def test_an_upload_brings_the_release_and_says_so(shop):
    write_release(shop.store, "1.0")
    shop.do(Step.PREFLIGHT)
    assert shop.do(Step.UPLOAD) == NodeFacts(current=None, has_release=True)
    assert verify(shop.root / "releases" / "1.0") is None
    assert "a-1: uploaded 1.0, sha256 verified" in shop.log


def test_a_release_that_is_there_and_right_is_used_as_it_is(shop):
    shop.deploy("1.0")
    before = (shop.root / "releases" / "1.0").stat().st_ino
    assert shop.do(Step.UPLOAD).has_release
    assert (shop.root / "releases" / "1.0").stat().st_ino == before
    assert "1.0 is there already, and right" in shop.log


def test_a_damaged_release_that_is_not_current_is_replaced(shop):
    shop.deploy("1.0")
    shop.deploy("2.0")
    (shop.root / "releases" / "1.0" / "VERSION").write_text("bad")
    assert not shop.do(Step.PREFLIGHT).has_release
    shop.do(Step.UPLOAD)
    assert verify(shop.root / "releases" / "1.0") is None


@pytest.mark.parametrize("step", [Step.PREFLIGHT, Step.UPLOAD])
def test_a_damaged_release_that_is_current_is_left_alone_and_told(shop, step):
    shop.deploy("1.0")
    (shop.current / "VERSION").write_text("bad")
    error = failing(shop, step)
    assert error.errored
    assert error.detail == (
        "releases/1.0 is what current names and is not as it was built (VERSION: sha256 differs); "
        "it is not replaced under a running service: roll back, or promote another version"
    )
    assert (shop.current / "VERSION").read_text() == "bad"


def test_an_upload_of_what_is_nowhere_could_not_run(shop):
    error = failing(shop, Step.UPLOAD)
    assert error.errored
    assert "release 1.0 is neither on the node nor in the store" in error.detail


# -- commands -----------------------------------------------------------------------------------------------

SHOW = 'pwd -P; env | grep "^SANDO_" | sort; echo "secret=$SECRET"'


def test_commands_run_in_the_new_release_with_what_they_are_promised_and_no_secret(shop, monkeypatch):
    monkeypatch.setenv("SECRET", "xyz")
    shop.deploy("1.0")
    shop.deploy(
        "2.0", previous="1.0", before_switch=f"echo before; {SHOW}; readlink ../../current", restart=SHOW
    )
    folder = os.path.realpath(shop.root / "releases" / "2.0")
    block = (
        f"{folder}\nSANDO_NODE=a-1\nSANDO_PREVIOUS=1.0\nSANDO_RELEASE={shop.root}/releases/2.0\n"
        "SANDO_TIER=a\nSANDO_VERSION=2.0\nsecret=\n"
    )
    assert f"before\n{block}releases/1.0\nsando: a-1: switched current -> releases/2.0" in shop.log
    assert shop.log.count(block.rstrip()) == 2


def test_once_says_that_it_is_done_and_a_failing_one_switches_nothing(shop):
    shop.deploy("1.0")
    write_release(shop.store, "2.0")
    shop.do(Step.UPLOAD, "2.0")
    facts = shop.do(Step.ONCE, "2.0", once=("sh", "-c", "echo migrated"))
    assert facts == NodeFacts(current="1.0", has_release=True, once_done=True)
    error = failing(shop, Step.ONCE, "2.0", once="echo column exists; exit 5")
    assert (error.detail, error.errored, error.tail) == (
        "once ended with exit status 5",
        False,
        "column exists",
    )
    assert shop.names() == "releases/1.0"


def test_a_failing_before_switch_is_a_node_that_was_not_switched(shop):
    shop.deploy("1.0")
    write_release(shop.store, "2.0")
    shop.do(Step.UPLOAD, "2.0")
    error = failing(shop, Step.SWITCH, "2.0", before_switch="echo no >&2; false")
    assert (error.detail, error.tail) == ("before_switch ended with exit status 1", "no")
    assert shop.names() == "releases/1.0"
    assert "sando: a-1: switch failed: before_switch ended with exit status 1" in shop.log


def test_a_command_that_is_not_there_could_not_run(shop):
    error = failing_start(shop, restart=("no-such-program",))
    assert error.errored
    assert error.detail.startswith("command not found: no-such-program")


def failing_start(shop, **keys) -> WorkError:
    shop.deploy("1.0")
    return failing(shop, Step.START, **keys)


def test_a_restart_that_fails_carries_the_last_fifty_lines_of_its_own_output(shop):
    shop.deploy("1.0", restart="echo earlier")
    error = failing(shop, Step.START, restart="seq 1 80; exit 2")
    assert error.detail == "restart ended with exit status 2"
    assert error.tail.splitlines() == [str(n) for n in range(31, 81)]


@pytest.mark.parametrize(
    "key, step", [("once", Step.ONCE), ("before_switch", Step.SWITCH), ("restart", Step.START)]
)
def test_a_command_that_hangs_is_ended_at_its_deadline_and_named_by_its_key(shop, key, step):
    shop.deploy("1.0")
    error = failing(shop, step, **{key: "echo waiting; sleep 60"}, timeout_s=0.7)
    assert (error.detail, error.tail, error.errored) == (
        f"{key} timed out after 1s; it was killed",
        "waiting",
        False,
    )


@pytest.mark.parametrize("end", ["exit 2", "sleep 60"])
@pytest.mark.parametrize("own", ["", "mine"])
def test_a_restart_that_fails_carries_nothing_that_another_node_said_meanwhile(shop, own, end):
    shop.deploy("1.0")
    log = shop.folder / "op.log"
    others = f"echo started on c-1 >>{log}; echo 'sando: c-1: preflight ok' >>{log}; "
    error = failing(
        shop, Step.START, restart=f"{others}{own and 'echo ' + own}{own and '; '}{end}", timeout_s=0.7
    )
    assert error.tail == own
    assert "started on c-1\n" in shop.log


def test_a_restart_that_daemonizes_a_server_and_the_server_survives(shop):
    port = free_port()
    shop.deploy("1.0")
    restart = f"PORT={port} setsid ./server & echo $! > ../../pid"
    probe = Probe(http=f"http://127.0.0.1:{port}/health")
    facts = shop.do(Step.START, restart=restart, probe=probe)
    pid = int((shop.root / "pid").read_text())
    try:
        assert facts == NodeFacts(
            current="1.0", has_release=True, green=True, detail=f"http://127.0.0.1:{port}/health answered 200"
        )
        assert shop.do(Step.PROBE, probe=probe).green
        assert alive(pid)
    finally:
        kill(pid)


# -- switch, start, hold ------------------------------------------------------------------------------------


def test_a_switch_names_the_new_release_by_a_relative_link(shop):
    shop.deploy("1.0")
    assert shop.names() == "releases/1.0"
    assert (shop.current / "VERSION").read_text() == "1.0"
    assert "a-1: switched current -> releases/1.0" in shop.log


def test_a_current_that_became_a_folder_meanwhile_is_not_replaced(shop):
    write_release(shop.store, "1.0")
    shop.do(Step.PREFLIGHT)
    shop.do(Step.UPLOAD)
    shop.current.mkdir()
    assert "is a folder, no link into releases/" in failing(shop, Step.SWITCH).detail
    facts = shop.do(Step.SWITCH, force=True)
    assert facts.detail == "what current was before is kept as current.kept-7"
    assert (shop.root / "current.kept-7").is_dir()


def test_a_cancelled_switch_does_not_move_the_link(shop):
    shop.deploy("1.0")
    write_release(shop.store, "2.0")
    shop.do(Step.UPLOAD, "2.0")
    shop.cancel.cancel()
    with pytest.raises(Cancelled):
        shop.do(Step.SWITCH, "2.0")
    assert shop.names() == "releases/1.0"


def test_a_node_with_neither_restart_nor_probe_has_started(shop):
    shop.deploy("1.0")
    assert shop.do(Step.START) == NodeFacts(current="1.0", has_release=True)


def test_a_probe_that_stays_red_fails_the_start_with_what_it_said_once_and_the_restarts_output(shop):
    with Answering() as server:
        server.status(503, "no database")
        shop.deploy("1.0")
        error = failing(shop, Step.START, restart="echo started", probe=Probe(http=server.url), timeout_s=0.4)
    assert not error.errored
    assert error.detail.startswith("the probe stayed red for ")
    assert error.detail.endswith(f"{server.url} answered 503: no database")
    assert error.tail == "started"


def test_a_probe_command_runs_in_the_release_and_its_last_line_is_told(shop):
    shop.deploy("1.0")
    green = Probe(command='test "$SANDO_VERSION" = "$(cat VERSION)" && echo all fine')
    assert shop.do(Step.PROBE, probe=green).detail.endswith(": green: all fine")
    facts = shop.do(Step.PROBE, probe=Probe(command="echo queue is stuck >&2; exit 3"))
    assert facts.green is False
    assert facts.detail == "echo queue is stuck >&2; exit 3: exit status 3: queue is stuck"


def test_a_probe_command_that_cannot_be_started_is_red(shop):
    shop.deploy("1.0")
    facts = shop.do(Step.PROBE, probe=Probe(command=("no-such-program",)))
    assert facts.green is False
    assert "command not found: no-such-program" in facts.detail


def test_a_node_without_a_probe_says_neither_green_nor_red(shop):
    shop.deploy("1.0")
    assert shop.do(Step.PROBE) == NodeFacts(current="1.0")


def test_holding_watches_until_its_time_is_over(shop):
    shop.deploy("1.0")
    with Answering() as server:
        server.status(200)
        begun = time.monotonic()
        facts = shop.do(Step.HOLD, hold_s=1.0, probe=Probe(http=server.url))
        assert 1.0 <= time.monotonic() - begun < 1.0 + AT_ONCE_S
        assert facts.green
        assert len(server.heard) >= 4


def counted(count: str) -> Probe:
    """A probe command that is red at the looks whose numbers are given."""
    return Probe(command=f'echo x >> n; case " {count} " in *" $(wc -l < n) "*) exit 1;; esac')


def test_two_red_looks_in_a_row_end_the_holding_and_a_single_one_does_not(shop):
    shop.deploy("1.0")
    assert shop.do(Step.HOLD, hold_s=0.5, probe=counted("2 4")).green
    (shop.current / "n").unlink()
    error = failing(shop, Step.HOLD, hold_s=2.5, probe=counted("2 3"))
    assert not error.errored
    assert error.detail.startswith("the probe turned red while it was watched: ")
    assert error.tail == ""


def test_holding_does_not_end_on_a_red_look(shop):
    shop.deploy("1.0")
    probe = Probe(command='[ -e gone ] && exit 1; echo x >> n; [ "$(wc -l < n)" -lt 2 ] || : > gone')
    assert "turned red" in failing(shop, Step.HOLD, hold_s=2.0, probe=probe).detail


def test_holding_without_a_probe_waits_and_can_be_cancelled(shop):
    shop.deploy("1.0")
    begun = time.monotonic()
    assert shop.do(Step.HOLD, hold_s=0.2).green is None
    assert time.monotonic() - begun >= 0.2
    threading.Timer(0.1, shop.cancel.cancel).start()
    with pytest.raises(Cancelled):
        shop.do(Step.HOLD, hold_s=60)


def test_a_switch_with_nothing_to_restart_is_green_with_its_link(shop):
    write_release(shop.store, "1.0")
    for step in (Step.PREFLIGHT, Step.UPLOAD):
        shop.do(step)
    facts = shop.do(Step.SWITCH, probe=Probe(command='test "$SANDO_VERSION" = 1.0 && cat VERSION'))
    assert (facts.current, facts.green) == ("1.0", True)
    assert facts.detail.endswith(": green: 1.0")
    assert f"probe green: {facts.detail}" in shop.log
    assert os.readlink(shop.current) == "releases/1.0"  # noqa: PTH115


@pytest.mark.parametrize(
    "keys",
    [
        {"probe": Probe(command="exit 3")},
        {"probe": Probe(command=("no-such-program",))},
        {"probe": Probe(command="true"), "restart": "touch ../../restarted"},
        {"probe": Probe(command="true"), "confirm_within_s": 5.0},
        {"probe": Probe(tcp="127.0.0.1:1")},
        {},
    ],
)
def test_a_switch_says_nothing_of_a_release_that_is_not_known_to_run(shop, keys):
    write_release(shop.store, "1.0")
    for step in (Step.PREFLIGHT, Step.UPLOAD):
        shop.do(step)
    assert shop.do(Step.SWITCH, **keys) == NodeFacts(current="1.0", has_release=True)
    assert not (shop.root / "restarted").exists()
    assert os.readlink(shop.current) == "releases/1.0"  # noqa: PTH115


def test_a_first_look_that_hangs_is_ended_and_says_nothing(shop, monkeypatch):
    monkeypatch.setattr("sando.work.deploy.LOOK_S", 0.5)
    write_release(shop.store, "1.0")
    for step in (Step.PREFLIGHT, Step.UPLOAD):
        shop.do(step)
    hangs = Probe(command="echo $$ >../../pid; exec sleep 60")
    assert shop.do(Step.SWITCH, probe=hangs) == NodeFacts(current="1.0", has_release=True)
    until(lambda: not alive(int((shop.root / "pid").read_text())))
    assert os.readlink(shop.current) == "releases/1.0"  # noqa: PTH115


# -- revert -------------------------------------------------------------------------------------------------


def test_a_first_deploy_that_fails_leaves_no_current_and_runs_no_restart(shop):
    restart = "echo restarted >> ../../restarts; exit 1"
    write_release(shop.store, "1.0")
    for step in (Step.PREFLIGHT, Step.UPLOAD, Step.SWITCH):
        shop.do(step)
    failing(shop, Step.START, restart=restart)
    assert shop.do(Step.REVERT, restart=restart, probe=Probe(tcp="127.0.0.1:1")) == NodeFacts()
    assert not os.path.lexists(shop.current)
    assert (shop.root / "restarts").read_text() == "restarted\n"
    assert "a-1: removed current: this node had none" in shop.log


def test_a_revert_puts_the_former_release_back_and_restarts_it_with_the_names_turned_round(shop):
    shop.deploy("1.0")
    shop.deploy("2.0", previous="1.0")
    facts = shop.do(
        Step.REVERT, "2.0", former="1.0", previous="1.0", restart=SHOW,
        probe=Probe(command="echo $SANDO_VERSION after $SANDO_PREVIOUS"),
    )  # fmt: skip
    assert facts.detail.endswith("green: 1.0 after 2.0")
    assert (facts.current, facts.has_release, facts.green) == ("1.0", True, True)
    assert shop.names() == "releases/1.0"
    assert "SANDO_PREVIOUS=2.0\n" in shop.log
    assert f"SANDO_RELEASE={shop.root}/releases/1.0\nSANDO_TIER=a\nSANDO_VERSION=1.0\n" in shop.log


def test_a_restart_that_fails_after_the_switch_back_says_both(shop):
    shop.deploy("1.0")
    shop.deploy("2.0")
    error = failing(shop, Step.REVERT, "2.0", former="1.0", restart="echo broken unit; exit 4")
    assert error.detail == "current is back on 1.0, but there restart ended with exit status 4"
    assert not error.errored
    assert error.tail == "broken unit"
    assert shop.names() == "releases/1.0"


def test_a_probe_that_is_red_after_the_switch_back_says_both(shop):
    shop.deploy("1.0")
    shop.deploy("2.0")
    error = failing(shop, Step.REVERT, "2.0", former="1.0", probe=Probe(command="exit 1"), timeout_s=0.2)
    assert error.detail.startswith("current is back on 1.0, but there the probe stayed red for ")
    assert shop.names() == "releases/1.0"


def test_a_former_release_that_is_gone_from_the_node_is_brought_again(shop):
    shop.deploy("1.0")
    shop.deploy("2.0")
    LocalHost(str(shop.root)).remove("1.0", 1)
    assert shop.do(Step.REVERT, "2.0", former="1.0").current == "1.0"
    assert (shop.current / "VERSION").read_text() == "1.0"


def test_a_former_release_that_is_nowhere_leaves_the_link_where_it_is(shop):
    shop.deploy("2.0")
    error = failing(shop, Step.REVERT, "2.0", former="1.0")
    assert error.errored
    assert error.detail == f"release 1.0 is neither on the node nor in the store ({shop.store})"
    assert shop.names() == "releases/2.0"


def test_a_revert_may_be_repeated(shop):
    shop.deploy("1.0")
    shop.deploy("2.0")
    for _ in range(2):
        assert shop.do(Step.REVERT, "2.0", former="1.0").current == "1.0"
    for _ in range(2):
        assert shop.do(Step.REVERT, "2.0").current is None


def test_a_revert_puts_a_foreign_current_back_that_was_moved_by_force(shop):
    write_release(shop.store, "1.0")
    shop.root.mkdir()
    shop.current.mkdir()
    (shop.current / "by-hand").touch()
    for step in (Step.PREFLIGHT, Step.UPLOAD, Step.SWITCH):
        shop.do(step, force=True)
    assert shop.do(Step.REVERT, force=True) == NodeFacts(detail="current is a folder again")
    assert names(shop.current) == ["by-hand"]


# -- observe ------------------------------------------------------------------------------------------------


def test_observing_reads_the_link_and_makes_nothing(shop):
    assert shop.do(Step.OBSERVE) == NodeFacts()
    assert not shop.root.exists()
    assert not (shop.folder / "op.log").exists()
    shop.deploy("1.0")
    assert shop.do(Step.OBSERVE, "2.0") == NodeFacts(current="1.0")
    shop.current.unlink()
    shop.current.symlink_to("/etc")
    assert shop.do(Step.OBSERVE) == NodeFacts(detail="current is a link to /etc, no link into releases/")
    assert shop.names() == "/etc"


# -- gates on nodes -----------------------------------------------------------------------------------------

BOOT = GateSpec("boot_smoke", "boot_smoke", settle_s=0.2, timeout_s=5)
COMMAND = GateSpec("command", "smoke", on="nodes")


def test_boot_smoke_asks_the_nodes_probe_where_there_is_one(shop):
    shop.deploy("1.0")
    with Answering() as server:
        server.status(200)
        facts = shop.do(Step.GATE, gate=BOOT, probe=Probe(http=server.url))
        assert facts == NodeFacts(
            current="1.0", has_release=True, green=True, detail=f"{server.url} answered 200"
        )
        server.status(500)
        facts = shop.do(Step.GATE, gate=replace(BOOT, timeout_s=0.2), probe=Probe(http=server.url))
    assert facts.green is False
    assert "answered 500" in facts.detail


def test_boot_smoke_starts_the_release_where_no_service_runs_and_leaves_nothing(shop):
    write_release(shop.store, "1.0", {"server": SERVER.replace("import os", "import os, sys, json")
        .replace("sock = ", "json.dump([os.getpid(), sys.argv[1:], os.environ['SANDO_NODE'], os.environ['MODE']],"
                            " open('seen', 'w'))\nsock = ", 1)})  # fmt: skip
    shop.deploy("1.0")
    gate = replace(
        BOOT, probe=Probe(http="http://127.0.0.1:{port}/"), args=("--quiet",), env={"MODE": "smoke"}
    )
    facts = shop.do(Step.GATE, gate=gate, run=("./server",))
    assert facts.green, facts
    pid, *seen = json.loads((shop.current / "seen").read_text())
    assert seen == [["--quiet"], "a-1", "smoke"]
    until(lambda: not alive(pid))


def test_boot_smoke_of_a_release_that_dies_is_red_with_what_it_said(shop):
    write_release(shop.store, "1.0", {"server": "#!/bin/sh\necho no licence\nexit 3\n"})
    shop.deploy("1.0")
    facts = shop.do(Step.GATE, gate=BOOT, run=("./server",))
    assert facts.green is False
    assert "exit status 3; it said: no licence" in facts.detail


def test_boot_smoke_without_a_way_to_start_could_not_run(shop):
    shop.deploy("1.0")
    error = failing(shop, Step.GATE, gate=BOOT)
    assert error.errored
    assert error.detail == "how the artifact is started is not known: set run in [build]"


def test_a_command_gate_runs_in_the_release_and_its_exit_decides(shop):
    shop.deploy("1.0")
    assert shop.do(Step.GATE, gate=replace(COMMAND, command='test "$(cat VERSION)" = 1.0')).green
    facts = shop.do(Step.GATE, gate=replace(COMMAND, command="exit 7"))
    assert (facts.green, facts.detail) == (False, "`exit 7` ended with exit status 7")
    facts = shop.do(Step.GATE, gate=replace(COMMAND, command=("sleep", "60"), timeout_s=0.7))
    assert (facts.green, facts.detail) == (False, "`sleep 60` timed out after 1s; it was killed")


@pytest.mark.parametrize(
    "gate, said",
    [
        (replace(COMMAND, command=("no-such-program",)), "command not found: no-such-program"),
        (COMMAND, "no command: set command on the gate"),
        (GateSpec("cargo_test", "cargo_test"), "a gate of kind cargo_test does not run on nodes"),
        (None, "no gate was named"),
    ],
)
def test_a_gate_that_cannot_run_is_not_red(shop, gate, said):
    shop.deploy("1.0")
    error = failing(shop, Step.GATE, gate=gate)
    assert error.errored
    assert error.detail.startswith(said)


# -- prune --------------------------------------------------------------------------------------------------


def test_pruning_removes_what_is_not_kept_and_never_what_runs(shop):
    for version in ("1.0", "1.1", "1.2", "2.0"):
        shop.deploy(version)
    (shop.root / "releases" / "my notes").mkdir()
    facts = shop.do(Step.PRUNE, "2.0", keep=("1.2",))
    assert facts == NodeFacts(current="2.0", removed=("1.0", "1.1"))
    assert names(shop.root / "releases") == ["1.2", "2.0", "my notes"]
    assert names(shop.root / ".sando" / "trash") == []
    assert "a-1: removed 1.0, 1.1" in shop.log


def test_pruning_removes_nothing_where_current_is_not_understood(shop):
    shop.deploy("1.0")
    shop.deploy("2.0")
    shop.current.unlink()
    shop.current.symlink_to("/elsewhere")
    facts = shop.do(Step.PRUNE)
    assert facts == NodeFacts(
        detail="nothing removed: current is a link to /elsewhere, no link into releases/"
    )
    assert names(shop.root / "releases") == ["1.0", "2.0"]


def test_pruning_goes_on_past_a_release_that_cannot_be_removed(tmp_path, keepers, monkeypatch):
    shop = Shop(tmp_path, keepers)
    for version in ("1.0", "1.1", "2.0"):
        shop.deploy(version)
    rename = Path.rename

    def refused(self, target):
        if self.name == "1.0":
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    facts = shop.do(Step.PRUNE, "2.0")
    assert facts.removed == ("1.1",)
    assert facts.detail.startswith("cannot remove releases/1.0: Permission denied")


def test_pruning_through_a_planted_releases_link_is_refused(shop):
    outside = shop.folder / "outside"
    (outside / "1.0").mkdir(parents=True)
    shop.root.mkdir()
    (shop.root / "releases").symlink_to(outside)
    error = failing(shop, Step.PRUNE)
    assert error.errored
    assert "unexpected link" in error.detail
    assert (outside / "1.0").is_dir()


# -- the whole ----------------------------------------------------------------------------------------------


def test_a_log_that_cannot_be_written_does_not_keep_a_link_from_being_read(shop):
    shop.deploy("1.0")
    (shop.folder / "op.log").unlink()
    (shop.folder / "op.log").mkdir()
    assert shop.do(Step.OBSERVE).current == "1.0"


def test_what_a_service_writes_into_its_release_never_reaches_the_store(shop):
    shop.deploy("1.0")
    (shop.current / "VERSION").write_text("written by the service")
    assert (shop.store / "1.0" / "VERSION").read_text() == "1.0"
