"""The store on a real file: what is written in one transaction, what is refused, what comes back."""

import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest

from sando.model.backup import BACKUP, RESTORED, TRIES, Fetched, LastGood, Restored, Tries
from sando.model.clock import Instant
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.gates import GateRun, Outcome
from sando.model.operation import Operation, Status
from sando.model.policy import Lock
from sando.model.record import Fact, Unset
from sando.model.release import Release
from sando.model.rollout import NodePlan, Rollout
from sando.model.safety import Safety
from sando.model.stay import BurnReset
from sando.model.tier import Mark, TierState
from sando.store import Store, StoreRefusedError

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
INSTANT = Instant(NOW, "boot", 5.0)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "sando.db")
    made.open()
    yield made
    made.close()


def release(version, sha="a" * 40, *, green=True):
    return Release(version, version, sha, "digest", 1, NOW, NOW, green=green)


def operation(store, **more):
    fields = {"kind": "build", "tier": "mm", "status": Status.RUNNING} | more
    return Operation(
        id=store.new_operation_id(), version=None, sha="a" * 40, actor="max", reason="", created_at=NOW, **fields
    )  # fmt: skip


def test_events_are_numbered_without_gaps_in_the_order_of_commits(store):
    first = store.save(Event("BuildStart", NOW), Event("BuildOk", NOW))
    with pytest.raises(TypeError):
        store.save(Event("BuildStart", NOW), Fact("x", object()))
    second = store.save(Event("BuildStart", NOW))
    assert [e.seq for e in (*first, *second)] == [1, 2, 3]
    assert [e.seq for e in store.events(1, 10)] == [2, 3]
    assert (store.first_seq(), store.last_seq()) == (1, 3)


def test_state_and_event_are_written_together_or_not_at_all(store, monkeypatch):
    built = operation(store)
    monkeypatch.setattr(store, "_put_event", lambda _event: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.save(built, Event("BuildStart", NOW))
    assert store.operation(built.id) is None


def test_events_of_many_threads_have_no_gap_and_no_double(store):
    def write():
        for _ in range(20):
            store.save(Event("BuildStart", NOW))
        store.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e.seq for e in store.events(0, 1000)] == list(range(1, 81))


def test_a_tier_comes_back_as_it_was_with_its_stays_marks_and_nodes(store):
    state = TierState("a").enter(release("1"), 1, INSTANT).enter(release("2"), 2, INSTANT)
    state = state.marked(Mark("0", NOW, "max", "broken", 9))
    store.save(state, *state.stays)
    assert store.tier("a") == state
    assert [s.version for s in store.tier("a", recent=1).stays] == ["2"]
    assert store.tier("nobody") == TierState("nobody")
    assert store.tier_names() == ["a"]


def test_a_tier_comes_back_without_the_stays_that_nothing_is_judged_by_and_whole_when_asked(store):
    state = TierState("a").enter(release("1"), 1, INSTANT)
    for n in range(10):
        state = state.enter(release("2"), n, INSTANT)
        state = state.pop_to(state.previous, None, INSTANT)
    store.save(state, *state.stays)
    assert store.tier("a", whole=True) == state
    assert store.tier("a") == state.condensed()
    assert [(s.n, s.version) for s in store.tier("a").stays] == [(1, "1"), (2, "2"), (20, "2"), (21, "1")]


def test_a_burn_in_reset_of_another_transaction_is_seen_when_the_tier_is_read(store):
    state = TierState("a").enter(release("1"), 1, INSTANT)
    store.save(state, *state.stays)
    later = INSTANT.plus(60)
    store.save(BurnReset("a", 1, later, 7))
    assert store.tier("a").current.burn.started_at == later.at


def test_operations_are_found_by_tier_kind_status_and_place(store):
    made = [
        operation(store),
        operation(store, kind="promote", tier="a"),
        operation(store, status=Status.SUCCEEDED),
    ]
    store.save(*made)
    assert [o.id for o in store.operations()] == [3, 2, 1]
    assert [o.id for o in store.operations(tier="a")] == [2]
    assert [o.id for o in store.operations(kind="build", limit=1)] == [3]
    assert [o.id for o in store.operations(status="running", before=2)] == [1]
    assert [o.id for o in store.unfinished()] == [1, 2]
    assert [o.id for o in store.unfinished("a")] == [2]


def test_numbers_of_operations_go_on_after_a_restart(store, tmp_path):
    store.save(operation(store), operation(store))
    again = Store(tmp_path / "sando.db")
    again.open()
    assert again.new_operation_id() == 3
    again.close()


def test_numbers_go_on_past_what_is_left_of_operations_that_the_store_does_not_know(store):
    first = store.new_operation_id()
    store.count_from(first + 10)
    assert store.new_operation_id() == first + 11
    store.count_from(3)
    assert store.new_operation_id() == first + 12


def test_releases_are_paged_newest_first_and_only_green_ones_take_their_name(store):
    store.save(release("1"), release("2", "b" * 40, green=False), release("3", "c" * 40))
    page, after = store.release_page(limit=2)
    assert [r.version for r in page] == ["3", "2"]
    assert [r.version for r in store.release_page(before=after)[0]] == ["1"]
    assert store.release_page(before=after)[1] is None
    assert store.taken() == {"1": "a" * 40, "3": "c" * 40}
    store.save(release("2", "d" * 40))
    assert store.release("2").sha == "d" * 40
    assert [r.version for r in store.releases(sha="d" * 40)] == ["2"]


def test_events_are_kept_by_age_and_count_and_the_newest_always(store):
    for day in range(10):
        store.save(
            Event("BuildStart", NOW + timedelta(days=day)), Event("BuildOk", NOW + timedelta(days=day))
        )
    assert store.forget_events(NOW + timedelta(days=3), most=1000, least=1) == 6
    assert store.first_seq() == 7
    assert store.forget_events(NOW, most=4, least=1) == 10
    assert [e.seq for e in store.events(0, 100)] == [17, 18, 19, 20]
    assert store.forget_events(NOW + timedelta(days=99), most=1, least=3) == 1
    assert [e.seq for e in store.save(Event("BuildStart", NOW))] == [21]


def test_a_lock_and_a_rollout_vanish_in_the_transaction_that_says_so(store):
    lock = Lock("a", "max", "no", NOW, NOW + timedelta(hours=1))
    rollout = Rollout(4, "a", "promote", "1", None, (NodePlan("a-1"),))
    store.save(lock, rollout)
    assert store.locks() == [lock]
    assert store.rollout(4) == rollout
    store.save(Unset(Lock, "a"), Unset(Rollout, 4))
    assert store.locks() == []
    assert store.rollout(4) is None


def test_gate_runs_are_kept_by_attempt(store):
    runs = [GateRun("mm", "cargo_test", "cargo_test", "1", 1, n, Outcome.PASSED, NOW) for n in (1, 2)]
    store.save(*runs)
    assert store.gate_runs(1) == runs


def test_a_store_locked_by_another_program_is_unavailable_and_nothing_was_written(store, tmp_path):
    store._db.execute_sql("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "sando.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.save(Fact("x", 1))
    other.rollback()
    other.close()
    assert store.fact("x") is None
    store.save(Fact("x", 1))
    assert store.fact("x") == 1


def test_a_full_disk_is_unavailable_and_nothing_was_written(store):
    pages = store._db.pragma("page_count")
    store._db.pragma("max_page_count", pages + 2)
    with pytest.raises(StoreUnavailable, match="full"):
        store.save(*(Event("BuildFailed", NOW, data={"tail": "x" * 3000}) for _ in range(50)))
    assert store.last_seq() == 0
    store._db.pragma("max_page_count", 1_000_000)
    assert [e.seq for e in store.save(Event("BuildOk", NOW))] == [1]


def test_a_file_that_is_no_database_is_refused_by_its_path_and_left_alone(tmp_path):
    path = tmp_path / "sando.db"
    path.write_bytes(b"not a database, but somebody's letter" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreRefusedError, match=str(path)):
        Store(path).open()
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "sando.db"
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreRefusedError, match="newer sando"):
        Store(path).open()


def test_the_file_and_its_journals_are_readable_by_their_owner_only(store, tmp_path):
    store.save(Fact("x", 1))
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in tmp_path.iterdir()} == dict.fromkeys(
        ("sando.db", "sando.db-wal", "sando.db-shm"), "0o600"
    )


def test_two_stores_in_one_process_keep_their_own_files(tmp_path):
    one, two = Store(tmp_path / "one.db"), Store(tmp_path / "two.db")
    one.open()
    two.open()
    one.save(Fact("x", 1))
    assert two.fact("x") is None
    one.close()
    two.close()


def test_what_is_known_of_a_way_back_is_kept_by_pair_replaced_and_forgotten_with_its_release(store):
    def found(new, old, safe, number=1):
        return Safety(new, old, safe, number, NOW)

    store.save(found("2", "1", "unknown"), found("2", "0", "no"), found("3", "2", "yes"))
    store.save(found("2", "1", "yes", 7))
    assert store.safety("2") == {("2", "1"): "yes", ("2", "0"): "no"}
    assert store.safety("2", "3", "9") == {("2", "1"): "yes", ("2", "0"): "no", ("3", "2"): "yes"}
    assert store.safety() == {}
    store.save(Unset(Safety, "2"))
    assert store.safety("2", "3") == {("3", "2"): "yes"}


def test_a_file_of_the_schema_before_gets_the_tables_that_it_lacks_and_keeps_what_it_has(store, tmp_path):
    number = operation(store)
    store.save(number)
    store.close()
    with sqlite3.connect(tmp_path / "sando.db") as file:
        file.execute("DROP TABLE safety")
        file.execute("PRAGMA user_version = 1")
    file.close()
    again = Store(tmp_path / "sando.db")
    again.open()
    assert again.safety("2") == {}
    assert again.operation(number.id) == number
    again.close()


def test_what_is_known_of_the_backup_comes_back_as_it_was_saved(store):
    assert (store.backup(), store.tries(), store.restored()) == (None, None, ())
    known = LastGood(Fetched("file:///x", "/b", 7, "00", "plain", 0.5, ("odd",)), INSTANT, 3)
    tries = Tries("file:///x", INSTANT, 2)
    proofs = (Restored("a", "00", NOW, "1.0", 4), Restored("mm", "11", NOW, "1.1", 5))
    store.save(Fact(BACKUP, known), Fact(TRIES, tries), *(Fact(f"{RESTORED}{p.tier}", p) for p in proofs))
    assert (store.backup(), store.tries(), store.restored()) == (known, tries, proofs)
    store.save(Unset(Fact, TRIES))
    assert (store.backup(), store.tries()) == (known, None)
