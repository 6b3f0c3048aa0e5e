"""May this version move? All answers in one place: the rooms behind it judge gates, vouch, admit and plan the way back."""

from sando.model.hurdles import a_good_release, tier_busy
from sando.model.judge import GateView, active_green, confirmable, gate_checks, judge
from sando.model.lock import Lock
from sando.model.promotion import Admission, Weighed, Wish, lacking, weigh
from sando.model.rollback import (
    Holder,
    Return,
    RollbackPlan,
    WayBack,
    plan_after,
    plan_rollback,
    weigh_after,
    weigh_back,
    weigh_release,
)
from sando.model.vouch import Vouched, vouch

__all__ = [
    "Admission",
    "GateView",
    "Holder",
    "Lock",
    "Return",
    "RollbackPlan",
    "Vouched",
    "WayBack",
    "Weighed",
    "Wish",
    "a_good_release",
    "active_green",
    "confirmable",
    "gate_checks",
    "judge",
    "lacking",
    "plan_after",
    "plan_rollback",
    "tier_busy",
    "vouch",
    "weigh",
    "weigh_after",
    "weigh_back",
    "weigh_release",
]
