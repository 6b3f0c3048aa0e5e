"""What the HTTP API answers, as typed values (SPEC 12, 14): openapi.json describes these, and clients may decode into them.

Values only, made from those of the model by whoever answers. Times are text, in the one form of `stamp`. A key is
never taken away, and never changes its meaning; new ones are added.
"""

from sando.model.wire.acts import Confirmation, Drained, Health, Locked, Notified, Reloaded, Tried, Unlocked
from sando.model.wire.dora import Changes, Deploys, Dora, Frequency, LeadTime, Restore, TierDora
from sando.model.wire.event import Event, EventPage
from sando.model.wire.operation import Operation, OperationPage
from sando.model.wire.problem import Problem
from sando.model.wire.release import Manifest, Mark, Release, ReleaseDetail, ReleasePage, RunsOn
from sando.model.wire.state import (
    Backup,
    Build,
    Daemon,
    Fetch,
    Freeze,
    Gate,
    Hold,
    Lock,
    Node,
    Promotable,
    State,
    Tier,
)

__all__ = [
    "Backup",
    "Build",
    "Changes",
    "Confirmation",
    "Daemon",
    "Deploys",
    "Dora",
    "Drained",
    "Event",
    "EventPage",
    "Fetch",
    "Freeze",
    "Frequency",
    "Gate",
    "Health",
    "Hold",
    "LeadTime",
    "Lock",
    "Locked",
    "Manifest",
    "Mark",
    "Node",
    "Notified",
    "Operation",
    "OperationPage",
    "Problem",
    "Promotable",
    "Release",
    "ReleaseDetail",
    "ReleasePage",
    "Reloaded",
    "Restore",
    "RunsOn",
    "State",
    "Tier",
    "TierDora",
    "Tried",
    "Unlocked",
]
