"""What a daemon holds on to: after much work it has as many threads and descriptors as before."""

from pathlib import Path

from tests.system.sandod import until
from tests.system.workspace import tier

ROUNDS = 30


def holds(sandod):
    """Threads, descriptors and children of the process."""
    folder = Path("/proc") / str(sandod.pid)
    children = (folder / "task" / str(sandod.pid) / "children").read_text().split()
    return len(list((folder / "task").iterdir())), len(list((folder / "fd").iterdir())), len(children)


def test_thirty_rounds_of_promote_and_rollback_leave_no_thread_and_no_descriptor_behind(sandod):
    sandod.configure(tier("a", 2)).start()
    sandod.bring("1.0", "a")
    sandod.green("1.1")

    def round_trip():
        assert sandod.post("/promote/a?wait=60", {"version": "1.1", "force": True}).status == 200
        assert sandod.post("/rollback/a?wait=60").status == 200

    for _ in range(3):  # what is made once and kept is no leak
        round_trip()
    before = holds(sandod)
    for _ in range(ROUNDS):
        round_trip()

    def as_before():
        return all(now <= then + 1 for now, then in zip(holds(sandod), before, strict=True))

    until(as_before, 60, f"for {before} threads, descriptors, children; there are {holds(sandod)}")
    assert len(sandod.operations("kind=promote&limit=500")) == ROUNDS + 4
    assert sandod.links("a", 2) == ["1.0", "1.0"]
    staging = [p for n in (1, 2) for p in (sandod.root / f"nodes/a-{n}/.sando/incoming").glob("*")]
    assert staging == []
