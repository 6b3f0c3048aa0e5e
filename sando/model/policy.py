"""May this version move? All answers in one place: the rooms behind it judge gates, vouch, admit and plan the way back."""

from sando.model.judge import GateView, active_green, confirmable, gate_checks, judge
from sando.model.promotion import Admission, Lock, Wish, admit, lacking, tier_busy
from sando.model.rollback import RollbackPlan, plan_rollback
from sando.model.vouch import Vouched, vouch

__all__ = [
    "Admission",
    "GateView",
    "Lock",
    "RollbackPlan",
    "Vouched",
    "Wish",
    "active_green",
    "admit",
    "confirmable",
    "gate_checks",
    "judge",
    "lacking",
    "plan_rollback",
    "tier_busy",
    "vouch",
]
