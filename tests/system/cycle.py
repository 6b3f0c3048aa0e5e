"""One round of all that sandod does on a small project, and what must hold after a death in it.

`Cycle` goes on in one workspace over any number of deaths; each round pushes a version of its own.
"""

import contextlib
import subprocess
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from sando import config
from sando.daemon import fsck
from tests.system.sandod import ENDED, until
from tests.system.workspace import HEAD, LOCAL, MM, Workspace, ssh, tier
from tests.work.fetching import plain
from tests.work.pushing import git
from tests.work.sshds import Sshd

BACKUP = '[backup]\nsource = "file://{root}/source.sql"\nlocal_path = "{root}/kept/backup.sql"\n'
SICK = "test ! -e {root}/red/$SANDO_NODE.$SANDO_VERSION"
NODES = f"once = 'true'\nbefore_switch = 'true'\nrestart = '{SICK}'\nprobe = {{ command = 'true' }}\nkeep_releases = 1\n"
REST_S = 60.0
ENDS = {
    "BuildStart": {"BuildOk", "BuildFailed", "BuildAborted"},
    "DeployStart": {"DeployOk", "DeployFailed"},
}


class Died(Exception):
    """sandod is gone, or does not answer any more."""


class Cycle:
    """A workspace with tiers a (two nodes) and b, their way back, and a backup."""

    def __init__(self, root: Path, *tiers: str, far: dict[str, Sshd] | None = None) -> None:
        """`far` are the nodes that are reached through a real sshd."""
        self.sandod = Workspace(root)
        self.count = 0
        self.act: Callable[[], None] = self.push
        (root / "source.sql").write_bytes(plain(1000))
        both = tiers or (tier("a", 2, NODES + 'canary_hold = "20ms"\n'), tier("b", 1, NODES))
        self.sandod.configure(*both, head=HEAD + BACKUP, mm=MM)
        text = self.sandod.topology.read_text()
        for name, sshd in (far or {}).items():
            text = text.replace(f'name = "{name}"\n{LOCAL}', f'name = "{name}"\n{ssh(sshd, sshd.target)}')
        self.sandod.topology.write_text(text)

    def begin(self, failpoints: str = "") -> None:
        """Starts it; with a failpoint it may be gone before it answers."""
        self.sandod.env["SANDO_FAILPOINTS"] = failpoints
        with contextlib.suppress(*((AssertionError, HTTPException) if failpoints else ())):
            self.sandod.start()

    @property
    def gone(self) -> bool:
        process = self.sandod.process
        return process is None or process.poll() is not None

    def live(self) -> None:
        """The whole round; Died when sandod is gone before its end. Everything else that goes wrong is raised."""
        try:
            self._round()
        except (OSError, AssertionError, ValueError, HTTPException) as error:
            try:  # a connection breaks a moment before the process is gone
                self.sandod.wait(2)
            except subprocess.TimeoutExpired:
                raise error from None
            raise Died from error

    def _round(self) -> None:
        self.sandod.hear()
        acts = (
            self.promote,
            self.push,
            self.promote,
            self.promote_on,
            self.roll_back,
            self.promote_sick,
            self.fetch,
        )
        for act in (self.push, *acts):
            self.act = act
            act()

    def again(self) -> None:
        """The request under which it died, once more."""
        self.act()

    # -- what is asked for -----------------------------------------------------------------------------------------

    def push(self) -> None:
        self.count += 1
        sha, _ = self.sandod.push(f"{self.count}.0")
        self.sandod.hear()

        def ended() -> str | None:
            news = self.sandod.hear(wait=5)
            return next(
                (e["type"] for e in news if e["sha"] == sha and e["type"] in {"BuildOk", "BuildFailed"}), None
            )

        assert until(ended, what=f"for the build of {sha[:7]} to end") == "BuildOk"

    def promote(self) -> None:
        self._done("/promote/a?wait=30", {"force": True})

    def promote_on(self) -> None:
        for shown in self.sandod.state()["tiers"][2:]:
            self._done(f"/promote/{shown['name']}?wait=30", {"force": True})

    def roll_back(self) -> None:
        """Of a tier that goes back more often than forward, the history ends, or what is kept of it does."""
        answer = self.sandod.post("/rollback/a?wait=30")
        ends = {(200, None), (409, "no_previous_version"), (409, "release_missing")}
        assert (answer.status, answer.body.get("code")) in ends, answer.body

    def promote_sick(self) -> None:
        """A promotion that one node does not bear: all go back."""
        mark = self.sandod.spoil("a-2", self.sandod.tier("mm")["current_version"])
        try:
            answer = self.sandod.post("/promote/a?wait=30", {"force": True})
            assert answer.body["code"] == "operation_failed", answer.body
        finally:
            mark.unlink()

    def fetch(self) -> None:
        self._done("/backup/fetch?wait=30")

    def _done(self, path: str, body: object = None) -> None:
        answer = self.sandod.post(path, body)
        assert answer.status == 200, answer.body

    # -- afterwards ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What SPEC 11 promises of a start after a death: at rest, clean, and as the links say."""
        self.rest()
        assert self.fsck() == []
        state = self.sandod.state()
        for shown in state["tiers"][1:]:
            links = {n["name"]: self.sandod.link(n["name"]) for n in shown["nodes"]}
            assert {n["name"]: n["version"] for n in shown["nodes"]} == links, shown
            assert set(links.values()) == {shown["current_version"]}, shown
        self.check_events()

    def rest(self) -> None:
        tip = git("rev-parse", "main", cwd=self.sandod.root / "mnw.git").strip()

        def rest() -> bool:
            known = self.sandod.operations()
            running = [o for o in known if o["status"] not in ENDED]
            if running:
                self.sandod.get(f"/operations/{running[0]['id']}?wait=5")
            return not running and any(o["sha"] == tip for o in known if o["kind"] == "build")

        until(rest, REST_S, "for all operations to end")

    def check_events(self) -> None:
        """Every start has one end; what goes on by itself after a start may still be on its way to it."""
        until(lambda: self._ends() == self._starts(), REST_S, "for every start to have its end")
        assert set(self._starts().values()) <= {1}

    def _starts(self) -> Counter[tuple[int, str]]:
        return Counter((e["operation"], e["type"]) for e in self.sandod.hear() if e["type"] in ENDS)

    def _ends(self) -> Counter[tuple[int, str]]:
        begun = {end: begin for begin, ends in ENDS.items() for end in ends}
        return Counter((e["operation"], begun[e["type"]]) for e in self.sandod.hear() if e["type"] in begun)

    def fsck(self) -> list[str]:
        """The lines of `sandod fsck --online`, in this process: a Python that starts takes longer than the look."""
        daemon = config.load_daemon(self.sandod.config)
        topology = config.load_topology(daemon.topology_path, tokens=False, store=daemon.release_root)
        holder = self.sandod.process.pid if self.sandod.process and not self.gone else None
        return [finding.line() for finding in fsck.look_again(daemon, topology, holder)]
