"""A gate that runs on each node of its tier: it is green when it is green on all. On the tier's thread."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.base import post
from actors.messages import (
    Do,
    NodeDone,
)
from sando.model.gates import Outcome
from sando.model.task import NodeFacts, NodeTask, Step
from sando.model.tier import Gating
from sando.model.topology import GateSpec
from sando.work.outcome import Aborted, Done, Failed

if TYPE_CHECKING:
    from actors.gating import Gates


class NodeGates:
    """What each node said stands in the tier's state, so that a restarted tier asks only the others."""

    def __init__(self, gates: "Gates") -> None:
        self.gates = gates
        self.tier = gates.tier

    def take_up(self, name: str) -> tuple[str, ...]:
        """Its actor, or mine, has died: its job lives on, or begins now. Answers the key of what I wait for."""
        gating = self.gates.gating
        spec = gating and gating.running and self.tier.spec.gate(gating.running)
        if not gating or not spec or not self.on_nodes(spec) or name not in self.silent(gating):
            return ()
        key, task = self.key(gating, name), self._task(gating, spec, name)
        if task is None:
            return ()
        if gating.aborted and not self.tier.site.runner.held(key):
            post(self.tier.actor_ref, NodeDone(name, key, Aborted()))
        else:
            self.tier.order(name, Do(key, task, adopt=True))
            if gating.aborted:
                self.tier.cancel(name, key)
        return (key,)

    def configured(self) -> None:
        """A reload changed the nodes that a gate waits for: those that are gone say nothing any more."""
        gating = self.gates.gating
        if not gating or not gating.running or self.tier.site.runner.held(self.gates.key(gating)):
            return
        for name in self.silent(gating):
            self.take_up(name)
        self.all_said(gating)

    def silent(self, gating: Gating) -> tuple[str, ...]:
        """The nodes that have not said yet how a gate went on them. Of one that is no more, no other node is asked."""
        declared = self.tier.spec.gate(gating.running or "") is not None
        held = self.tier.site.runner.held
        left = (n.name for n in self.tier.spec.nodes_in() if n.name not in gating.nodes)
        return tuple(name for name in left if declared or held(self.key(gating, name)))

    def on_nodes(self, spec: GateSpec) -> bool:
        return bool(self.tier.spec.nodes_in()) and (
            spec.kind == "boot_smoke" or (spec.kind == "command" and spec.on == "nodes")
        )

    def key(self, gating: Gating, node: str) -> str:
        return f"{self.tier.jobs_of(node)}{gating.operation}/gate/{gating.running}/{gating.attempt}"

    def begin(self, gating: Gating, spec: GateSpec) -> None:
        for node in self.tier.spec.nodes_in():
            task = self._task(gating, spec, node.name)
            if task:
                self.tier.order(node.name, Do(self.key(gating, node.name), task))

    def _task(self, gating: Gating, spec: GateSpec, name: str) -> NodeTask | None:
        tier, node = self.tier, self.tier.spec.node(name)
        if node is None:
            return None
        return NodeTask(
            operation=gating.operation, tier=tier.name, node=node, step=Step.GATE, version=gating.version, former=None,
            previous=tier.state.previous.version if tier.state.previous else None, store=tier.site.work.release_root,
            log=tier.site.work.log_path(gating.operation), timeout_s=spec.timeout_s or tier.spec.timeout_s,
            restart=node.restart, probe=node.probe, gate=spec, run=tier.topology.build.start_command(),
        )  # fmt: skip

    def waits_for(self, done: NodeDone) -> bool:
        gating = self.gates.gating
        return (
            gating is not None
            and done.key == self.key(gating, done.node)
            and done.node in self.silent(gating)
        )

    def done(self, done: NodeDone) -> None:
        gating = self.gates.gating
        if gating is None:
            return
        match done.outcome:
            case Done(NodeFacts() as facts):
                said = f"{done.node}: {facts.detail}" if facts.green is False else None
            case Failed(error):
                said = f"{done.node}: {error}"
                if error.errored:
                    gating = replace(gating, errored=(*gating.errored, done.node))
            case _:
                said = f"{done.node}: stopped"
                gating = replace(gating, stopped=True)
        gating = replace(gating, nodes={**gating.nodes, done.node: said})
        if not self.all_said(gating):
            self.tier.become(replace(self.tier.state, gating=gating))
        self.tier.site.runner.forget(done.key)

    def all_said(self, gating: Gating) -> bool:
        if self.silent(gating):
            return False
        reds = [r for r in gating.nodes.values() if r]
        said_no = any(red and node not in gating.errored for node, red in gating.nodes.items())
        if gating.aborted:
            self.gates.ended(gating, Outcome.ABORTED, "stopped", "aborted")
        elif gating.stopped:
            self.gates.ended(gating, Outcome.ABORTED, "stopped", self.gates.why_stopped())
        else:
            count = len(gating.nodes)
            message = "; ".join(reds) or f"green on {count} node{'s' if count > 1 else ''}"
            red = Outcome.FAILED if said_no else Outcome.ERRORED
            self.gates.ended(gating, red if reds else Outcome.PASSED, message)
        return True
