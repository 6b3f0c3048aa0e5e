"""Between a Tier and its Nodes."""

from dataclasses import dataclass

from sando.model.task import NodeTask
from sando.work.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Do:
    """Tier -> Node: work on this step; `key` numbers the job.

    `adopt` after a death: it is taken up where it runs. Where nobody holds it, it was never begun, and begins now:
    the Runner forgets no job before the tier has committed its end.
    """

    key: str
    task: NodeTask
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Tier -> Node: stop the job `key`; its end comes as NodeDone."""

    key: str


@dataclass(frozen=True, slots=True)
class NodeDone:
    """Node -> Tier: the end of the job `key`."""

    node: str
    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Look:
    """Tier -> itself, later: time to look at this node again."""

    node: str
