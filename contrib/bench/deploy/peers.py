"""The peers as their users run them: Fabric (kept warm), pyinfra, Ansible (pipelining, warm), Capistrano.

Each does on the node exactly what the floor does. What pip installs goes into an environment of the bench's own.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from nodes import Nodes
from payloads import Release
from shell import NotInstalled, WayFailed, clean_env, end, run
from ways import Cell, Way, finish, link_dest, step_back, unpack

ARCHIVE = "upload.tar"
HERE = Path(__file__).resolve().parent / "recipes"


class Peers:
    """The environment that the peers are installed into; `folder` may be kept for the next run."""

    def __init__(self, work: Path, folder: Path | None) -> None:
        self.work = work
        self.folder = folder or work / "peers"
        self.home = work / "home"
        self.home.mkdir()

    def program(self, package: str, name: str) -> Path:
        """The program `name` of a package, installed when it is not there yet."""
        found = self.folder / "bin" / name
        try:
            if not (self.folder / "bin" / "python").exists():
                run([sys.executable, "-m", "venv", str(self.folder)])
            if not found.exists():
                run([str(self.folder / "bin" / "python"), "-m", "pip", "install", "-q", package])
        except WayFailed as error:
            raise NotInstalled(f"pip could not install {package}: {error}") from error
        return found

    def env(self) -> dict[str, str]:
        """With a home of the bench's own, so that nothing is left in the user's."""
        return {"HOME": str(self.home), "PATH": f"{self.folder}/bin:{clean_env()['PATH']}"}


class Recipe(Way):
    """A peer that is given the work as data, one line for each node, and takes no notice of what it is."""

    def __init__(self, name: str, label: str, nodes: Nodes, peers: Peers) -> None:
        super().__init__(name, label, "", label)
        self.nodes, self.peers = nodes, peers

    def first(self, release: Release) -> None:
        archive = str(self.peers.work / ARCHIVE)
        run(["tar", "cf", archive, "-C", str(release.folder), "."])  # once for all nodes
        self.do({n.name: unpack(self.root(n), release, ARCHIVE) for n in self.cell.nodes}, send=archive)

    def back(self, former: Release) -> None:
        self.do({n.name: step_back(self.root(n), former) for n in self.cell.nodes})

    def do(self, commands: dict[str, str], *, send: str = "") -> None:
        """Bring the archive `send`, if there is one, to the root as ARCHIVE, then run each node's command."""
        raise NotImplementedError

    def hosts(self) -> list[dict[str, object]]:
        return [
            {"name": n.name, "host": n.address, "port": n.port, "root": str(self.root(n))}
            for n in self.cell.nodes
        ]

    def job(self, commands: dict[str, str], send: str, **more: object) -> dict[str, object]:
        login = {"user": self.nodes.user, "key": str(self.nodes.identity), "config": str(self.nodes.cold)}
        known = {"known_hosts": str(self.nodes.known_hosts)}
        return (
            {"hosts": self.hosts(), "commands": commands, "send": send, "archive": ARCHIVE}
            | login
            | known
            | more
        )


class Fabric(Recipe):
    """A process that keeps its connections, as a program built on Fabric would."""

    worker: subprocess.Popen[bytes] | None = None

    def __init__(self, nodes: Nodes, peers: Peers) -> None:
        super().__init__("fabric", "Fabric, warm", nodes, peers)

    def install(self) -> None:
        self.peers.program("fabric", "fab")

    def open(self, cell: Cell) -> None:
        super().open(cell)
        self.worker = subprocess.Popen(
            [str(self.peers.folder / "bin" / "python"), str(HERE / "fabric_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_env() | self.peers.env(),
            start_new_session=True,
        )
        self.do({n.name: "true" for n in cell.nodes})

    def do(self, commands: dict[str, str], *, send: str = "") -> None:
        worker = self.worker
        assert worker is not None
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(self.job(commands, send)).encode() + b"\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
        except OSError:
            answer = b""
        if answer != b"ok\n":
            raise WayFailed(f"Fabric: {answer.decode('utf-8', 'replace').strip() or 'its process ended'}")

    def close(self) -> None:
        if self.worker is not None:
            end(self.worker)
            self.worker = None


class Pyinfra(Recipe):
    def __init__(self, nodes: Nodes, peers: Peers) -> None:
        super().__init__("pyinfra", "pyinfra", nodes, peers)
        self.next_label = "pyinfra, files.rsync --checksum --link-dest"

    def install(self) -> None:
        self.peers.program("pyinfra", "pyinfra")

    def next(self, former: Release, release: Release) -> None:
        commands = {n.name: f"cd {self.root(n)} && {finish(release)}" for n in self.cell.nodes}
        goals = {n.name: f"{self.root(n)}/releases/{release.version}/" for n in self.cell.nodes}
        flags = {n.name: ["-a", *link_dest(self.root(n), former)] for n in self.cell.nodes}
        self._run(self.job(commands, "", sync=f"{release.folder}/", goals=goals, flags=flags))

    def do(self, commands: dict[str, str], *, send: str = "") -> None:
        self._run(self.job(commands, send))

    def _run(self, job: dict[str, object]) -> None:
        path = self.peers.work / "pyinfra.json"
        path.write_text(json.dumps(job))
        argv = [str(self.peers.folder / "bin" / "pyinfra"), "-y", "--parallel", str(len(self.cell.nodes))]
        argv += [str(HERE / "pyinfra_inventory.py"), str(HERE / "pyinfra_deploy.py")]
        run(argv, cwd=self.peers.home, env=self.peers.env() | {"BENCH_JOB": str(path)})


class Ansible(Recipe):
    """Through the warm ControlMasters, with pipelining and without gathering facts."""

    def __init__(self, nodes: Nodes, peers: Peers) -> None:
        super().__init__("ansible", "Ansible, pipelining, warm", nodes, peers)

    def install(self) -> None:
        self.peers.program("ansible-core", "ansible-playbook")

    def do(self, commands: dict[str, str], *, send: str = "") -> None:
        work = self.peers.home
        hosts = {
            n.name: {
                "root": str(self.root(n)),
                "work": commands[n.name],
                "ansible_remote_tmp": f"{n.folder}/tmp",
            }
            for n in self.cell.nodes
        }
        (work / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        variables = {"archive": send, "name": ARCHIVE, "ansible_python_interpreter": sys.executable}
        argv = [str(self.peers.folder / "bin" / "ansible-playbook"), "-i", str(work / "inventory.json")]
        argv += ["-e", json.dumps(variables), str(HERE / "ansible_playbook.yml")]
        run(argv, cwd=work, env=self.peers.env() | self._settings(work))

    def _settings(self, work: Path) -> dict[str, str]:
        return {
            "ANSIBLE_HOME": str(work / "ansible"),
            "ANSIBLE_FORKS": str(len(self.cell.nodes)),
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_SSH_ARGS": f"-F {self.nodes.warm}",
            "ANSIBLE_NOCOLOR": "1",
        }


class Capistrano(Recipe):
    def __init__(self, nodes: Nodes, peers: Peers) -> None:
        super().__init__("capistrano", "Capistrano", nodes, peers)

    def install(self) -> None:
        if shutil.which("cap") is None:
            raise NotInstalled(
                "cap is not on this machine: apt-get install capistrano, or gem install capistrano"
            )

    def do(self, commands: dict[str, str], *, send: str = "") -> None:
        path = self.peers.work / "capistrano.json"
        path.write_text(json.dumps(self.job(commands, send)))
        env = self.peers.env() | {"BENCH_JOB": str(path)}
        run(["cap", "-f", str(HERE / "Capfile"), "bench:deploy"], cwd=self.peers.home, env=env)
