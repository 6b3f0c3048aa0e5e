"""What many threads of sandod do at the same moment right after the start must not end the process."""

import subprocess
import sys

# The first requests and the first reads of the store, all at once, with as many turns between threads as can be.
FIRST_USE = """
import sys, threading
from datetime import UTC, datetime
from api import bodies
from sando.model.operation import NodeReport, Operation, Status
from sando.model.rollout import NodePlan, Rollout
from sando.store import Store
from msgspec import convert

store = Store(sys.argv[1])
store.open()
node = NodeReport("a", "ok", "1", "")
store.save(
    Operation(1, "promote", "a", "1", "", "max", "", Status.RUNNING, datetime.now(UTC), nodes=(node,)),
    Rollout(operation=1, tier="a", mode="promote", version="1", previous=None, nodes=(NodePlan("a"),)),
)
sys.setswitchinterval(1e-6)
uses = [lambda: store.operation(1), lambda: store.rollout(1), lambda: convert({"reason": ""}, bodies.PromoteBody)]
start = threading.Barrier(9)

def use(what):
    start.wait()
    for _ in range(20):
        what()
    store.close()

threads = [threading.Thread(target=use, args=(what,)) for what in uses * 3]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_use_of_a_type_by_many_threads_at_once_is_no_crash(tmp_path):
    for turn in range(6):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_USE, str(tmp_path / f"{turn}.db")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.returncode, done.stderr)
