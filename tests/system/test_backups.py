"""The backup of a real sandod: fetched by hand and by schedule, cut off by signals, judged by its age under clocks that jump."""

import signal

import pytest

from tests.system import clocks as clock_tools
from tests.system.sandod import until
from tests.system.workspace import HEAD, MM
from tests.work.fetching import plain
from tests.work.sshds import farm
from tests.work.wire import Wire

wall, clocks = clock_tools.wall, clock_tools.clocks
OLD, LARGE = plain(1000), plain(8_000_000)
DAY = 86400.0
FRESH = MM.replace("gates = [", 'gates = [ { kind = "backup_fresh", max_age = "2d" },')


def declare(sandod, source=None, **keys):
    """[backup] with these keys, and what is there to fetch."""
    source = source or f"file://{sandod.root}/source.sql"
    keys = {"source": source, "local_path": f"{sandod.root}/kept/backup.sql", **keys}
    text = "[backup]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    (sandod.root / "source.sql").write_bytes(OLD)
    return sandod.configure(head=HEAD + text, mm=FRESH if "max_age" in keys else MM)


def kept(sandod):
    return sandod.root / "kept" / "backup.sql"


def beside(sandod):
    return sorted(path.name for path in kept(sandod).parent.iterdir())


@pytest.fixture
def slow(sandod, tmp_path):
    """A machine behind a slow line: `declare(sandod, **slow)`. It ends with its processes."""
    (tmp_path / "there.sql").write_bytes(LARGE)
    with farm(tmp_path) as sshd:
        node = sshd()
        with Wire(node.host, node.port) as wire:
            wire.slow(2_000_000)
            yield {
                "source": f"ssh://{node.through(wire.port)}{tmp_path}/there.sql",
                "identity_file": str(node.identity),
                "known_hosts": str(node.known_hosts),
            }


def test_a_fetch_shows_how_far_it_is_and_then_what_came(sandod, slow):
    declare(sandod, **slow).start()
    operation = sandod.post("/backup/fetch").body
    assert sandod.post("/backup/fetch").body["id"] == operation["id"]
    path = f"/operations/{operation['id']}"
    until(lambda: sandod.get(path).body["details"].get("bytes"), what="for progress")
    details = sandod.get(path).body["details"]
    assert 0 < details["bytes"] < details["of"] == len(LARGE)
    fetch = sandod.state()["fetch"]
    assert (fetch["operation"], fetch["of"]) == (operation["id"], len(LARGE))
    assert sandod.state()["backup"] is None
    ended = sandod.ended(operation["id"])
    assert (ended["status"], ended["details"]["kind"], ended["details"]["bytes"]) == (
        "succeeded",
        "plain",
        len(LARGE),
    )
    state = sandod.state()
    assert (state["fetch"], state["backup"]["bytes"], state["backup"]["operation"]) == (
        None,
        len(LARGE),
        ended["id"],
    )
    assert kept(sandod).read_bytes() == LARGE
    assert "\nsando_backup_age_seconds " in sandod.get("/metrics").body
    fetched = sandod.wait_event("BackupFetched", operation=ended["id"])
    assert fetched["data"]["sha256"] == state["backup"]["sha256"]


def test_a_fetch_is_aborted_by_a_person_and_leaves_the_old_one(sandod, slow):
    declare(sandod).start()
    assert sandod.post("/backup/fetch?wait=60").status == 200
    declare(sandod, **slow)
    assert sandod.post("/reload").status == 200
    operation = sandod.post("/backup/fetch").body["id"]
    until(lambda: len(beside(sandod)) > 1)
    assert sandod.post(f"/operations/{operation}/abort").status == 202
    assert sandod.ended(operation)["status"] == "aborted"
    assert (kept(sandod).read_bytes(), beside(sandod)) == (OLD, ["backup.sql"])


def test_a_schedule_fetches_by_itself_again_and_again(sandod):
    declare(sandod, schedule="1s").start()
    first = sandod.wait_event("BackupFetched")
    (sandod.root / "source.sql").write_bytes(LARGE)
    later = sandod.wait_event("BackupFetched", after=first["seq"], bytes=len(LARGE))
    assert (first["actor"], later["actor"]) == ("schedule", "schedule")
    assert kept(sandod).read_bytes() == LARGE


def test_a_source_that_cannot_be_had_is_told_and_a_reload_with_a_better_one_is_followed_at_once(sandod):
    declare(sandod, source="file:///nowhere/at-all.sql", schedule="1h").start()
    failed = sandod.wait_event("BackupFailed")
    assert "file:///nowhere/at-all.sql: cannot be read: No such file" in failed["data"]["error"]
    declare(sandod, schedule="1h")
    assert sandod.post("/reload").status == 200
    sandod.wait_event("BackupFetched")
    assert kept(sandod).read_bytes() == OLD


def test_a_fetch_under_a_killed_sandod_leaves_the_old_one_and_no_process(sandod, slow):
    declare(sandod).start()
    assert sandod.post("/backup/fetch?wait=60").status == 200
    declare(sandod, **slow)
    sandod.post("/reload")
    operation = sandod.post("/backup/fetch").body["id"]
    until(lambda: len(beside(sandod)) > 1)
    sandod.kill()
    until(lambda: not sandod.left(), 60, "for the fetch's processes to end with the daemon")
    assert kept(sandod).read_bytes() == OLD
    declare(sandod).start()
    assert sandod.ended(operation)["status"] == "interrupted"
    assert sandod.post("/backup/fetch?wait=60").status == 200
    assert beside(sandod) == ["backup.sql"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fetch_that_was_stopped_with_sandod_goes_on_at_the_next_start(sandod, slow, number):
    declare(sandod, schedule="1h", **slow).start()
    until(lambda: kept(sandod).parent.exists() and beside(sandod))
    operation = sandod.operations("kind=backup")[0]["id"]
    sandod.signal(number)
    assert sandod.wait() == 0
    assert not beside(sandod)
    sandod.start()
    assert sandod.ended(operation)["status"] == "interrupted"
    again = until(lambda: [o for o in sandod.operations("kind=backup") if o["id"] > operation])[0]
    assert again["actor"] == "schedule"
    assert sandod.ended(again["id"])["status"] == "succeeded"
    assert kept(sandod).read_bytes() == LARGE


def run_gate(sandod):
    answer = sandod.post("/gates/mm/backup_fresh/run?wait=60")
    shown = next(g for g in sandod.tier("mm")["gates"] if g["kind"] == "backup_fresh")
    assert answer.status == (200 if shown["outcome"] == "passed" else 409)
    return shown["outcome"], shown["message"]


def test_the_age_of_a_backup_under_clocks_that_jump(sandod, clocks):
    clocks.reboot()
    declare(sandod, max_age="2d").start()
    assert sandod.post("/backup/fetch?wait=60").status == 200
    sandod.green("1.0")
    assert run_gate(sandod)[0] == "passed"
    clocks.jump(10 * DAY)
    assert run_gate(sandod) == ("failed", "fetched 10d ago, 2d at most: fetch a new one (`sando backup`)")
    clocks.jump(-10 * DAY)
    assert run_gate(sandod)[0] == "passed"
    clocks.jump(-10 * DAY)
    assert run_gate(sandod)[0] == "passed", "the boot clock knows"
    sandod.kill()
    clocks.reboot()
    sandod.start()
    outcome, message = run_gate(sandod)
    assert (outcome, "is yet to come: the clock was set back" in message) == ("failed", True)


@pytest.mark.parametrize("days", [-10, 10])
def test_a_schedule_is_followed_at_the_start_after_a_reboot_whatever_became_of_the_clock(
    sandod, clocks, days
):
    clocks.reboot()
    declare(sandod, schedule="1d").start()
    first = sandod.wait_event("BackupFetched")
    sandod.kill()
    clocks.jump(days * DAY)
    clocks.reboot()
    sandod.start()
    sandod.wait_event("BackupFetched", after=first["seq"])
    sandod.kill()
    sandod.start()
    assert len(sandod.operations("kind=backup")) == 2
    assert not sandod.state()["backup"]["stale"]
