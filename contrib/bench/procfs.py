"""What /proc says of a running sandod: for the benchmarks beside this file."""

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def seconds_of(pid: int) -> float:
    """User and system time of the process and of those of its children that have ended."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return sum(int(f) for f in fields[11:15]) / TICK


def memory_of(pid: int) -> float:
    """MB: its own pages, and its part of the shared ones."""
    text = Path("/proc", str(pid), "smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0]) / 1024


def rss_of(pid: int) -> float:
    """MB."""
    return int(Path("/proc", str(pid), "status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def threads_of(pid: int) -> int:
    return len(list(Path("/proc", str(pid), "task").iterdir()))
