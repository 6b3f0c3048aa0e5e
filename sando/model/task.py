"""One step of an operation on one node, as plain data: what a node actor hands to the work on it."""

from enum import StrEnum

from msgspec import Struct

from sando.model.topology import Command, GateSpec, NodeSpec, Probe


class Step(StrEnum):
    """The steps of a deploy on a node, in their order (SPEC 6)."""

    PREFLIGHT = "preflight"
    UPLOAD = "upload"
    ONCE = "once"
    SWITCH = "switch"  # before_switch, then the link
    START = "start"  # restart, then the probe
    HOLD = "hold"  # watch the probe for `hold_s`
    REVERT = "revert"  # back to `former`: link, restart, probe
    OBSERVE = "observe"  # read the link
    PROBE = "probe"  # one look, used to settle after a crash
    GATE = "gate"  # one active gate of the tier, on this node
    PRUNE = "prune"  # remove releases that are not in `keep`


class NodeTask(Struct, frozen=True):
    """All that a step needs to know. Folders are absolute; commands and probe are already the node's own."""

    operation: int
    tier: str
    node: NodeSpec
    step: Step
    version: str
    former: str | None
    """The release that this node's `current` named before the operation; None: it had none."""
    previous: str | None
    """The tier's version before the operation, `SANDO_PREVIOUS` for commands."""
    store: str
    """The release store on the controller; the release is `<store>/<version>`."""
    log: str
    timeout_s: float = 300.0
    restart: Command | None = None
    probe: Probe | None = None
    once: Command | None = None
    before_switch: Command | None = None
    hold_s: float = 0.0
    force: bool = False
    back: bool = False
    """A step of a rollback."""
    confirm_within_s: float | None = None
    """The tier's dead-man switch, where it is armed for this operation."""
    settles: bool = False
    """An observation within an operation, from which it is decided how that ends."""
    keep: tuple[str, ...] = ()
    gate: GateSpec | None = None
    run: tuple[str, ...] = ()
    """How the artifact is started inside a release (`[build] run`), for a gate that boots it."""


class NodeFacts(Struct, frozen=True):
    """What a step found out about its node; fields that it did not look at keep their defaults."""

    current: str | None = None
    """The version that `current` names after the step."""
    dangling: bool = False
    """The folder that it names is not there: nothing can run from it."""
    has_release: bool = False
    green: bool | None = None
    """What the probe said; None: there is none."""
    detail: str = ""
    removed: tuple[str, ...] = ()
    once_done: bool = False
