"""The production backup: fetched from a file, by ssh or rsync, looked at, and put in the place of the one before (SPEC 9)."""

from sando.work.backup.fetch import fetch, sweep
from sando.work.backup.hold import held
from sando.work.backup.seal import fingerprint

__all__ = ["fetch", "fingerprint", "held", "sweep"]
