"""Walks a sample server through sandod, as a person would with git and curl, and shows what happens meanwhile.

Usage: walk.py wait URL PID LOG, until that sandod answers; walk.py walk URL WORKSPACE SAMPLE [DATABASE]. Standard
library only. LOG is what it writes, DATABASE a folder of migrations and a backup to rehearse them on.
It starts nothing that outlives it and never touches sandod's files: what it knows, it was told over HTTP.
"""

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

BUILD_S, STEP_S, START_S = 180, 60, 30
ENDS_RED = {"BuildFailed", "BuildAborted", "DeployFailed", "RollbackFailed"}
COLOURS = {"ok": 32, "no": 31, "$": 36}


class Red(Exception):
    """Something is not as it should be; the text says what, `operation` whose log tells more."""

    def __init__(self, text, operation=None):
        super().__init__(text)
        self.operation = operation


# -- what is shown -----------------------------------------------------------------------------------------------


def say(mark, text):
    colourful = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    shown = f"\x1b[{COLOURS[mark]}m{mark:>4}\x1b[0m" if colourful and mark in COLOURS else f"{mark:>4}"
    print(f"{shown}  {text}".rstrip(), flush=True)


def title(text):
    print(f"\n{text}", flush=True)


def show(event):
    """One line for an event that a person waits for; the others are not for this minute."""
    kind, data, version, tier = event["type"], event["data"], event["version"], event["tier"]
    match kind:
        case "BuildStart":
            say("..", f"build {event['operation']} of {event['sha'][:7]} runs")
        case "BuildOk":
            say("ok", f"build {event['operation']}: {version} is green on {tier} ({data['seconds']:.1f} s)")
        case "GateDone":
            mark = "ok" if data["outcome"] == "passed" else "no"
            say(
                mark,
                f"{tier}: gate {data['gate']} {data['outcome']}: {data['message']} ({data['seconds']:.1f} s)",
            )
        case "DeployStart":
            verb = "promote {} to" if data["kind"] == "promote" else "roll back to {} on"
            say("..", f"{tier}: {verb.format(version)} {', '.join(data['nodes'])}")
        case "NodeDeployed":
            say("ok", f"{tier}: {event['node']} has {version}")
        case "PromoteComplete":
            say("ok", f"{tier}: {version} is current ({data['seconds']:.1f} s)")
        case "BackupFetched":
            say("ok", f"fetched the backup: {data['bytes']} bytes")
        case "Rollback":
            say("ok", f"{tier}: back from {data['from']} to {data['to']}")
        case _ if kind in ENDS_RED:
            say("no", f"{kind} {tier or ''} {version or ''}")


# -- the daemon, over HTTP -----------------------------------------------------------------------------------------


class Daemon:
    """What sandod says at `url`; `seq` is the last event that was seen."""

    def __init__(self, url):
        self.url = url
        self.seq = 0

    def get(self, path, timeout=STEP_S):
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise Red(f"sandod does not answer GET {path}: {error}") from error

    def post(self, path, body=""):
        """As the README does it, with curl; with Python where there is none. Answers what sandod answered."""
        line = f"curl -X POST {self.url}{path}"
        if body:
            line += f" -H 'Content-Type: application/json' -d '{body}'"
        say("$", line)
        if not shutil.which("curl"):
            return self._judge(path, self._post_without_curl(path, body))
        done = run([*shlex.split(line), "-sS"])
        if done.returncode:
            raise Red(f"curl could not reach sandod: {done.stdout.strip()}")
        return self._judge(path, done.stdout)

    def _post_without_curl(self, path, body):
        headers = {"Content-Type": "application/json"} if body else {}
        request = urllib.request.Request(self.url + path, body.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=STEP_S) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.read().decode()
        except OSError as error:
            raise Red(f"sandod does not answer POST {path}: {error}") from error

    def _judge(self, path, text):
        try:
            answer = json.loads(text)
        except ValueError:
            raise Red(f"POST {path} was answered with no JSON: {text[:200]!r}") from None
        if "code" in answer:
            operation = answer["operation"]["id"] if isinstance(answer.get("operation"), dict) else None
            raise Red(f"POST {path} was refused: {answer['code']}: {answer.get('detail', '')}", operation)
        return answer

    def follow(self, until, within):
        """Show events as they come until one of that type, green; "GateDone:NAME" is that gate's end."""
        kind, _, gate = until.partition(":")
        deadline = time.monotonic() + within
        last = None
        while time.monotonic() < deadline:
            page = self.get(f"/events?since={self.seq}&wait=10", timeout=30)
            for event in page["events"]:
                self.seq, last = event["seq"], event["operation"] or last
                show(event)
                judge(event, gate)
                if event["type"] == kind and gate in {"", event["data"].get("gate")}:
                    return event
        raise Red(f"no {until} within {within} s", last)


def judge(event, gate):
    """Red when the event ends what is waited for; a red gate of a build is told with the build's own end."""
    kind, operation = event["type"], event["operation"]
    if kind in ENDS_RED:
        why = event["data"].get("error") or event["data"].get("reason") or ""
        raise Red(f"operation {operation} ended with {kind}: {why}".rstrip(": "), operation)
    if gate and kind == "GateDone" and event["data"]["outcome"] != "passed":
        raise Red(f"gate {event['data']['gate']} is {event['data']['outcome']}", operation)


# -- the steps -----------------------------------------------------------------------------------------------------


def run(argv, cwd=None):
    """Run a command to its end; its output is one text. The caller looks at the status."""
    return subprocess.run(
        argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, errors="replace",
    )  # fmt: skip


def git(checkout, *words):
    """git with an author, whatever the person's own settings are; hooks and signatures of theirs stay out of it."""
    done = run(
        ["git", "-c", "user.name=Quickstart", "-c", "user.email=quickstart@localhost", "-c", "commit.gpgsign=false",
         "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", *words],
        cwd=checkout,
    )  # fmt: skip
    if done.returncode:
        raise Red(f"git {' '.join(words)}: {done.stdout.strip()}")
    return done.stdout


class Walk:
    """One clone, one node, two versions."""

    def __init__(self, url, workspace, sample, database):
        self.daemon = Daemon(url)
        self.workspace = workspace
        self.sample = sample
        self.database = database
        self.checkout = workspace / "checkout"
        self.node = workspace / "a-node"

    def clone(self):
        say(
            "$", f"git clone {shlex.quote(str(self.workspace / 'mnw.git'))} {shlex.quote(str(self.checkout))}"
        )
        git(self.workspace, "clone", "--quiet", str(self.workspace / "mnw.git"), str(self.checkout))
        git(self.checkout, "symbolic-ref", "HEAD", "refs/heads/main")
        shutil.copytree(self.sample, self.checkout, dirs_exist_ok=True, ignore=left_by_people)
        self.migrate("0001")

    def migrate(self, number):
        """The next commit brings this migration, where there is a PostgreSQL to rehearse it on."""
        for file in self.database.glob(f"{number}_*.sql") if self.database else ():
            (self.checkout / "server" / "migrations").mkdir(exist_ok=True)
            shutil.copy(file, self.checkout / "server" / "migrations")

    def back_up(self):
        """Last night's backup of production, in which the first migration was applied."""
        if self.database:
            (first,) = self.database.glob("0001_*.sql")
            checksum = hashlib.sha384(first.read_bytes()).hexdigest()
            dump = (self.database / "backup.sql").read_text("utf-8").replace("@CHECKSUM@", checksum)
            (self.workspace / "fake-backup.sql").write_text(dump, "utf-8")
            self.daemon.post("/backup/fetch")
            self.daemon.follow("BackupFetched", STEP_S)

    def push(self, version):
        """Commit the sample as that version and push it; ends when the build tier is green with it."""
        for name, mark in (("Cargo.toml", 'version = "{}"'), ("VERSION", "{}")):
            path = self.checkout / "server" / name
            if path.exists():
                path.write_text(
                    path.read_text("utf-8").replace(mark.format("0.8.1"), mark.format(version)), "utf-8"
                )
        git(self.checkout, "add", "--all")
        git(self.checkout, "commit", "--quiet", "--message", f"server {version}")
        say("$", f"git push origin main     # server {version}")
        for line in git(self.checkout, "push", "origin", "main").splitlines():
            if line.startswith("remote: sando:"):
                say("", line.rstrip())
        built = self.daemon.follow("BuildOk", BUILD_S)
        if built["version"] != version:
            raise Red(f"the build is called {built['version']}, not {version}", built["operation"])

    def promote(self, version):
        self.daemon.post("/promote/a", json.dumps({"version": version}, separators=(",", ":")))
        self.daemon.follow("PromoteComplete", STEP_S)
        self.daemon.follow("GateDone:boot_smoke", STEP_S)
        self.look(version)

    def confirm(self):
        answer = self.daemon.post("/confirm/a")
        say("ok", f"a: gate {answer['gate']} {answer['outcome']}, by {answer['actor']}")

    def roll_back(self, version):
        self.daemon.post("/rollback/a")
        self.daemon.follow("Rollback", STEP_S)
        self.look(version)

    def look(self, version):
        """What the node really has: the link, and what the program behind it says."""
        link = str((self.node / "current").readlink())
        say("$", "readlink a-node/current; a-node/current/server --version")
        done = run([str(self.node / "current" / "server"), "--version"])
        said = done.stdout.strip()
        say("ok" if said == version else "no", f"the node's current is {link}, and its server says {said}")
        if (link, said, done.returncode) != (f"releases/{version}", version, 0):
            raise Red(f"the node should run {version}; current is {link}, and the program says {said!r}")
        tier = next(tier for tier in self.daemon.get("/state")["tiers"] if tier["name"] == "a")
        if tier["current_version"] != version:
            raise Red(f"GET /state says that tier a runs {tier['current_version']}, not {version}")

    def tail(self, operation):
        log = self.workspace / "work" / "logs" / f"{operation}.log"
        if operation is None or not log.exists():
            return
        print(f"the last lines of operation {operation}'s log:", file=sys.stderr)
        for line in log.read_text("utf-8", "replace").splitlines()[-20:]:
            print(f"  | {line}", file=sys.stderr)


def left_by_people(_folder, names):
    """What trying the sample by hand leaves in its folder."""
    return {"target", "__pycache__", "Cargo.lock"} & set(names)


def walk(url, workspace, sample, database=""):
    steps = Walk(url, Path(workspace), Path(sample), Path(database) if database else None)
    try:
        title("1. a first version: push it, and the build tier mm builds and tests it")
        steps.clone()
        steps.push("0.8.1")
        title("2. promote it to tier a, and say yes to what is there")
        steps.promote("0.8.1")
        steps.confirm()
        title(
            "3. a second version, the same way"
            + (": its migration is rehearsed on a backup" if database else "")
        )
        steps.back_up()
        steps.migrate("0002")
        steps.push("0.8.2")
        steps.promote("0.8.2")
        title("4. and back")
        steps.roll_back("0.8.1")
    except Red as red:
        say("no", str(red))
        steps.tail(red.operation)
        return 1
    return 0


def wait(url, pid, log):
    """0 as soon as sandod at `url` answers, 1 when its process has ended or 30 s are over.

    Who answers may be another one, which took the port a moment before: this one says in its log that it listens.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            os.kill(int(pid), 0)
            if f" listens on {url}\n" in Path(log).read_text(errors="replace"):
                with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                    return 0
        except ProcessLookupError:
            return 1
        except OSError:
            pass
        time.sleep(0.05)
    return 1


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    verb, *arguments = sys.argv[1:]
    return {"walk": walk, "wait": wait}[verb](*arguments)


if __name__ == "__main__":
    sys.exit(main())
