"""The one place where the machine's clocks are read; everywhere else time is an argument."""

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sando.model.clock import Instant


def read_clock() -> Instant:
    return Instant(datetime.now(UTC), _boot(), time.clock_gettime(time.CLOCK_BOOTTIME))


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
