"""GET /plan and the act agree: in `SANDO_PLANS` random states, 10,000 of which are run before a release."""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.actors.agreement import QUESTIONS, Questioning
from tests.actors.conftest import MEMORY

STATES = int(os.environ.get("SANDO_PLANS", "500"))
SEEN = {
    "promote is accepted", "rollback is accepted", "pointer is accepted", "rollback is aborting", "unknown_tier",
    "not_promotable", "not_provisioned", "nothing_to_promote", "gates_not_passed", "already_current", "tier_busy",
    "version_marked_bad", "locked", "no_nodes", "no_previous_version", "not_rollbackable", "schema_incompatible",
    "draining",
}  # fmt: skip
"""Answers that so many states come upon."""
RARE = {
    "repair is accepted", "bad_request", "release_missing", "release_corrupt", "tier_mixed", "frozen", "degraded",
}  # fmt: skip
"""What it takes thousands for."""


def asked(seed: int) -> Counter[str]:
    with tempfile.TemporaryDirectory(prefix="sando-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        storm = Questioning(Path(folder) / "sando.db", seed)
        try:
            storm.run()
        except Exception as error:
            story = "\n".join(f"{i}: {line}" for i, line in enumerate(storm.log))
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{story}") from error
        finally:
            storm.stage.store.close()
        return storm.said


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_the_plan_and_the_act_say_the_same_in_every_state() -> None:
    said: Counter[str] = Counter()
    for seed in range(STATES // QUESTIONS):
        said += asked(seed)
    assert said.total() >= STATES
    assert set(said) >= (SEEN | RARE if STATES >= 10_000 else SEEN), said
