"""A folder with both TOML files, a bare repository to push to, and shell programs that stand for a real project.

`stop_at` puts a place into a program where it waits until the test says `go`, so that no test waits for time.
"""

from pathlib import Path

from tests.system.sandod import Sandod, until
from tests.work.pushing import Clone
from tests.work.sshds import Sshd

DAEMON = """listen = "{address}"
db_path = "{root}/sando.db"
topology_path = "{root}/sando.toml"
workdir = "{root}/work"
release_root = "{root}/releases"
{more}
"""
# The project: a version, a build and a test that each push brings along, and what is deployed.
HEAD = """[repo]
bare_path = "{root}/mnw.git"
branch = "main"
[build]
command = "sh ./build.sh"
artifact = "server"
version_from = "VERSION"
env = {{ ROOT = "{root}" }}
"""
SERVER = "#!/bin/sh\nexec sleep 600\n"
TEST = '{ kind = "cargo_test", command = "sh ./test.sh" }'
MM = f"""
[[tier]]
name = "mm"
provisioned = true
gates = [ {TEST} ]
"""


LOCAL = 'ssh_target = "local"\n'


def ssh(sshd: Sshd, target: str) -> str:
    return f'ssh_target = "{target}"\nidentity_file = "{sshd.identity}"\nknown_hosts = "{sshd.known_hosts}"\n'


def tier(name: str, nodes: int = 1, more: str = "") -> str:
    """A tier with nodes NAME-1, NAME-2, …; `more` is TOML of the tier itself."""
    text = f'\n[[tier]]\nname = "{name}"\nprovisioned = true\n{more}\n'
    for n in range(1, nodes + 1):
        text += f'[[tier.node]]\nname = "{name}-{n}"\nssh_target = "local"\nrelease_root = "{{root}}/nodes/{name}-{n}"\n'
    return text


class Workspace(Sandod):
    """A daemon with its project: `configure`, `start`, `push`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for folder in ("at", "go", "red", "nodes"):
            (root / folder).mkdir()
        self.clone: Clone | None = None
        self.sshd: Sshd | None = None
        """Where it is set, all nodes are reached through it."""

    def configure(self, *tiers: str, head: str = HEAD, mm: str = MM, daemon: str = "") -> "Workspace":
        """`{root}` in any of the texts is this folder; braces of TOML tables in the tiers stay as they are."""
        self.config.write_text(DAEMON.format(root=self.root, address=self.address, more=daemon))
        text = head.format(root=self.root) + "".join([mm, *tiers]).replace("{root}", str(self.root))
        self.topology.write_text(text.replace(LOCAL, self.reached_by()))
        return self

    def reached_by(self) -> str:
        """TOML of every node: how it is reached."""
        return LOCAL if self.sshd is None else ssh(self.sshd, self.sshd.target)

    @property
    def topology(self) -> Path:
        return self.root / "sando.toml"

    # -- places where a program waits --------------------------------------------------------------------------

    def stop_at(self, name: str) -> str:
        """Shell text: tell that this place is reached, and wait until it may go on."""
        return f"touch '{self.root}/at/{name}'; until [ -e '{self.root}/go/{name}' ]; do sleep 0.02; done"

    def waiting(self, key: str, place: str = "") -> str:
        """TOML of a tier: a command under that key that waits at a place."""
        return f"{key} = '''{self.stop_at(place or key)}'''\n"

    def reached(self, name: str) -> None:
        until((self.root / "at" / name).exists, what=f"for {name} to be reached")

    def go(self, name: str) -> None:
        (self.root / "go" / name).touch()

    # -- pushing -----------------------------------------------------------------------------------------------

    def commit(self, version: str, build: str = "", test: str = "", server: str = SERVER) -> str:
        if self.clone is None:
            self.clone = Clone(self.root / "checkout", self.root / "mnw.git")
        texts = {
            "VERSION": version,
            "build.sh": f"set -e\necho building {version}\n{build}\ncp server.sh server\nchmod +x server\necho built\n",
            "test.sh": f"set -e\necho testing {version}\n{test}\n",
            "server.sh": server,
        }
        for name, text in texts.items():
            self.clone.put(f"server/{name}", text)
        return self.clone.commit(f"version {version}")

    def push(self, version: str, *options: str, **programs: str) -> tuple[str, str]:
        """Commit and push; answers the sha and what git printed."""
        sha = self.commit(version, **programs)
        assert self.clone
        return sha, self.clone.push(*options, "main")

    def green(self, version: str, **programs: str) -> str:
        """Push and wait until the build tier is on it; answers the sha."""
        sha, _ = self.push(version, **programs)
        self.wait_event("BuildOk", sha=sha)
        return sha

    def bring(self, version: str, *tiers: str) -> None:
        """Build a version and promote it through these tiers."""
        self.green(version)
        for name in tiers:
            answer = self.post(f"/promote/{name}?wait=60", {"version": version})
            assert answer.status == 200, answer

    # -- nodes -------------------------------------------------------------------------------------------------

    def link(self, node: str) -> str | None:
        """The version that the node's `current` names, as anybody would read it."""
        path = self.root / "nodes" / node / "current"
        return path.readlink().name if path.is_symlink() else None

    def links(self, name: str, nodes: int = 3) -> list[str | None]:
        return [self.link(f"{name}-{n}") for n in range(1, nodes + 1)]

    def spoil(self, node: str, version: str) -> Path:
        """From now on SICK finds this version broken on this node."""
        path = self.root / "red" / f"{node}.{version}"
        path.touch()
        return path


SICK = """probe = { command = 'test ! -e {root}/red/$SANDO_NODE.$SANDO_VERSION || { echo "$SANDO_NODE is sick"; exit 1; }' }
timeout = "2s"
"""
