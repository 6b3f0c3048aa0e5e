"""Random orders of everything: pushes, deploys, people, failures, crashes, restarts. Every order ends well.

A failing seed says itself; `storm_of(seed)` tells its story again, and it becomes a named test.
"""

import os
import tempfile
from pathlib import Path

import pytest

from tests.actors.calm import check_rest
from tests.actors.conftest import MEMORY
from tests.actors.storm import Storm

ORDERS = int(os.environ.get("SANDO_ORDERS", "2000"))
CHUNK = 20
ACTS = 30


def storm_of(seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sando-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        storm = Storm(Path(folder) / "sando.db", seed)
        try:
            storm.run(ACTS)
            check_rest(storm.stage, storm.replies)
        except Exception as error:
            story = "\n".join(f"{i}: {line}" for i, line in enumerate(storm.log))
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{story}") from error
        finally:
            storm.stage.store.close()


@pytest.mark.campaign
@pytest.mark.parametrize("first", range(0, ORDERS, CHUNK))
def test_every_order_of_everything_comes_to_rest(first: int) -> None:
    for seed in range(first, min(first + CHUNK, ORDERS)):
        storm_of(seed)
