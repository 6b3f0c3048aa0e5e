"""The message line of the screen and a real sandod: what was begun by a key is told as it ended, however long that takes."""

import pytest

from tests.system.terminal import Terminal
from tests.system.workspace import Workspace, tier

SICK = 'test ! -e {root}/red/$SANDO_NODE.$SANDO_VERSION || { echo "$SANDO_NODE is sick"; exit 1; }'


@pytest.fixture
def busy(tmp_path):
    """a is on 1.0, mm on 1.1, which waits on a-2 once it has come there."""
    made = Workspace(tmp_path)
    second = f"[ $SANDO_VERSION$SANDO_NODE != 1.1a-2 ] || {{ {made.stop_at('second')}; }}"
    made.configure(tier("a", 3, f"restart = '''{second}; {SICK}'''\n")).start()
    made.bring("1.0", "a")
    made.green("1.1")
    yield made
    assert not made.finish()


def promoting(flow: Workspace, screen: Terminal) -> int:
    """1.1 is on its way to a; answers the number of its promotion."""
    screen.see("live", r"▌ mm +1\.1")
    screen.press("j", "p").see("1.0 → 1.1", "y promote 1.1")
    screen.press("y")
    flow.reached("second")
    number = flow.tier("a")["operation"]
    screen.see(f"(?m)^ promote {number} of 1.1: started")
    return number


def test_a_promotion_is_told_as_it_ended_in_place_of_that_it_was_begun(busy):
    with Terminal(busy.url) as screen:
        number = promoting(busy, screen)
        busy.go("second")
        screen.see(f"(?m)^ promote {number} of 1.1: succeeded", r"a +1\.1 +1\.0 +steady")
        screen.miss("started")


def test_one_that_fails_is_told_with_its_reason_in_one_row(busy):
    busy.spoil("a-3", "1.1")
    with Terminal(busy.url) as screen:
        number = promoting(busy, screen)
        busy.go("second")
        screen.see(f"(?m)^ promote {number} of 1.1: failed, rolled back: a-3: .*$", "a-3 is sick|lines? more")
        screen.miss("started")


def test_a_rollback_that_stops_a_promotion_says_what_it_waits_for_and_how_it_ended(busy):
    with Terminal(busy.url) as screen:
        number = promoting(busy, screen)
        screen.press("R").see(r"Roll back tier a\?", "a abort running")
        screen.press("a").see("y roll back to 1.0", f"if promote {number} succeeds before .* from 1.1")
        screen.press("y").see(f"(?m)^ rollback {number + 1} of 1.0: waits for promote {number} to stop")
        busy.go("second")
        screen.see(f"(?m)^ rollback {number + 1} of 1.0: succeeded", r"a +1\.0 +— +steady")
        screen.miss("waits for", "aborting", "started")
        assert busy.operation(number + 1)["status"] == "succeeded"


def test_what_ends_while_nobody_is_heard_is_told_when_sandod_is_back(busy):
    with Terminal(busy.url) as screen:
        number = promoting(busy, screen)
        busy.kill()
        screen.see("✗ away", f"promote {number} of 1.1: started")
        busy.go("second")
        busy.start()
        ended = busy.ended(number)
        screen.press("r").see("● live", f"promote {number} of 1.1: {ended['status']}")


def test_a_rollback_that_waits_for_a_promotion_is_asked_about_as_that_stands_now(busy):
    with Terminal(busy.url) as screen:
        number = promoting(busy, screen)
        screen.press("R").see(r"Roll back tier a\?", f"promote {number} of 1.1 by anonymous runs on tier a")
        busy.go("second")
        screen.see("1.1 → 1.0", "y roll back to 1.0")
        screen.miss("runs on tier a")
