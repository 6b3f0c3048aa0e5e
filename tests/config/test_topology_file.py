"""sando.toml: every key, every refusal, and the place that each problem names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sando.config import load_topology
from sando.model.topology import (
    BackupSpec,
    BuildSpec,
    FreezeSpec,
    GateSpec,
    NodeSpec,
    Probe,
    RepoSpec,
    TierSpec,
    Topology,
)

Problems = Callable[..., tuple[str, ...]]

HEAD = """\
[repo]
bare_path = "/srv/app.git"
[[tier]]
name = "mm"
provisioned = true
"""
TIER = HEAD + '[[tier]]\nname = "a"\nprovisioned = true\n'
NODE = TIER + '[[tier.node]]\nname = "n"\nssh_target = "local"\nrelease_root = "/srv/n"\n'

FULL = Topology(
    repo=RepoSpec("/srv/git/mnw.git", "release/1.0"),
    build=BuildSpec(
        dir="server",
        command="make release",
        artifact="out/server",
        extra=("migrations", "static"),
        version_from="git",
        timeout_s=2700.0,
        idle_timeout_s=600.0,
        env={"RUSTFLAGS": "-Dwarnings", "EMPTY": ""},
        run=("./server", "--quiet"),
        runner=("nice",),
    ),
    backup=BackupSpec(
        source="ssh://backup@prod-1:22/var/backups/mnw.sql",
        local_path="/var/lib/sando/backup.sql",
        max_age_s=172800.0,
        schedule_s=86400.0,
        identity_file="/etc/sando/id",
        known_hosts="/etc/sando/known_hosts",
    ),
    tiers=(
        TierSpec(
            "mm",
            provisioned=True,
            gates=(
                GateSpec("cargo_test", "cargo_test", command=("cargo", "test", "--release")),
                GateSpec("command", "lint", command="make lint", timeout_s=300.0, shards=4),
                GateSpec(
                    "migration_dry_run", "migration_dry_run", command=("migrate",), dir="db", timeout_s=7200
                ),
                GateSpec(
                    "boot_smoke",
                    "boot_smoke",
                    probe=Probe(http="http://127.0.0.1:{port}/health"),
                    settle_s=0.5,
                    timeout_s=20.0,
                    env={"LOG": "1"},
                    args=("--port", "{port}"),
                ),
                GateSpec("backup_fresh", "backup_fresh", max_age_s=172800.0),
            ),
        ),
        TierSpec(
            "b",
            provisioned=True,
            canary="first-then-rest",
            canary_hold_s=90.0,
            on_failure="halt",
            once="./server migrate",
            before_switch=("./warm",),
            keep_releases=3,
            timeout_s=120.0,
            confirm_within_s=60.0,
            gates=(
                GateSpec("burn_in", "burn_in", duration_s=86400.0),
                GateSpec("manual_confirm", "manual_confirm", min_approvals=2),
            ),
            nodes=(
                NodeSpec(
                    "prod-1",
                    "deploy@prod-1.example:22",
                    "/srv/mnw",
                    restart="systemctl restart mnw",
                    probe=Probe(tcp="127.0.0.1:8080"),
                ),
                NodeSpec(
                    "prod-2",
                    "deploy@[2001:db8::1]:2222",
                    "/srv/mnw",
                    restart=("sv", "restart", "mnw"),
                    probe=Probe(command="./healthy"),
                    identity_file="/etc/sando/id",
                    known_hosts="/etc/sando/known_hosts",
                    out=True,
                ),
            ),
        ),
        TierSpec("c", provisioned=False),
    ),
    freezes=(FreezeSpec(("b", "c"), (4, 5), 22 * 60, 30 * 60, "Europe/Berlin"),),
)


def test_every_key_of_the_topology_file_arrives(tmp_path: Path, topology_text: str) -> None:
    path = tmp_path / "sando.toml"
    path.write_text(topology_text)
    assert load_topology(path, tokens=True) == FULL


def test_the_smallest_file_has_the_documented_defaults(tmp_path: Path) -> None:
    path = tmp_path / "sando.toml"
    path.write_text(NODE)
    found = load_topology(path, tokens=False)
    assert found.build == BuildSpec()
    assert found.repo.branch == "main"
    assert found.tiers[1] == TierSpec("a", provisioned=True, nodes=(NodeSpec("n", "local", "/srv/n"),))


def test_an_empty_file_asks_for_a_repo_and_a_tier(problems: Problems) -> None:
    assert problems("") == (
        'sando.toml:1: tier: no tier; add [[tier]] with name = "mm" and provisioned = true',
        'sando.toml:1: repo: missing; add [repo] with bare_path = "/srv/git/app.git"',
    )


@pytest.mark.parametrize(
    "text, said",
    [
        ("reppo = 1\n" + HEAD, "1: reppo: unknown key; did you mean 'repo'?"),
        (HEAD.replace("bare_path", "bare_pth"), "2: repo.bare_pth: unknown key of [repo]; did you mean 'bare_path'?"),
        (HEAD + 'canery = "x"', "6: tier.mm.canery: unknown key of a tier; did you mean 'canary'?"),
        (HEAD + "gates = [\n{ kind = 'cargo_test' },\n{ kind = 'burn_in',\n  durration = '1h' } ]",
         "9: tier.mm.gates.burn_in.durration: unknown key of a burn_in gate; did you mean 'duration'?"),
        (HEAD + "gates = [ { kind = 'boot_smoke', probe.htp = 'x' } ]",
         "6: tier.mm.gates.boot_smoke.probe.htp: unknown key of a probe; did you mean 'http'?"),
        (NODE + "rstart = 'x'", "13: tier.a.node.n.rstart: unknown key of a node; did you mean 'restart'?"),
        (NODE + "probe.tpc = 'x'", "13: tier.a.node.n.probe.tpc: unknown key of a probe; did you mean 'tcp'?"),
        (HEAD + "[[freeze]]\ndyas = ['fri']", "7: freeze[0].dyas: unknown key of a freeze; did you mean 'days'?"),
        (HEAD + "[build]\nartefact = 'x'", "7: build.artefact: unknown key of [build]; did you mean 'artifact'?"),
        (HEAD + "[backup]\nsorce = 'x'", "7: backup.sorce: unknown key of [backup]; did you mean 'source'?"),
    ],
)  # fmt: skip
def test_an_unknown_key_names_its_line_and_the_nearest_one(text: str, said: str, problems: Problems) -> None:
    assert f"sando.toml:{said}" in problems(text)


FREEZES = [
    ("", "6: freeze[0]: has neither days nor hours and would never end"),
    ("days = ['fry']", "7: freeze[0].days[0]: unknown day 'fry'; did you mean 'fri'?"),
    ("days = 'fri'", "7: freeze[0].days: is a string, must be a list"),
    ("days = ['fri']\ntiers = ['mmm']", "8: freeze[0].tiers[0]: unknown tier 'mmm'; did you mean 'mm'?"),
    ("days = ['fri']\ntiers = []", "8: freeze[0].tiers: is an empty list"),
    ("days = ['fri']\ntz = 'Europe/Berln'", "8: freeze[0].tz: is 'Europe/Berln', no time zone known here; did you mean"),
    ("days = ['fri']\ntz = '../../etc/passwd'", "8: freeze[0].tz: is '../../etc/passwd', no time zone"),
    ("days = ['fri']\ntz = 'Europe'", "8: freeze[0].tz: is 'Europe', no time zone"),
    *[(f"hours = '{hours}'", f"7: freeze[0].hours: is '{hours}', no span of hours")
      for hours in ("16-24", "24:00-06:00", "16:00-24:01", "16:60-17:00", "1:00-2:00", "16:00", "16:00 - 17:00")],
]  # fmt: skip


@pytest.mark.parametrize("freeze, said", FREEZES)
def test_a_wrong_freeze_is_told(freeze: str, said: str, problems: Problems) -> None:
    (found,) = problems(HEAD + "[[freeze]]\n" + freeze)
    assert found.startswith(f"sando.toml:{said}")


@pytest.mark.parametrize(
    "hours, minutes",
    [("16:00-24:00", (960, 1440)), ("00:00-00:00", (0, 1440)), ("22:00-06:00", (1320, 1800)), ("09:30-09:31", (570, 571))],
)  # fmt: skip
def test_hours_may_reach_past_midnight(hours: str, minutes: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "sando.toml"
    path.write_text(HEAD + f"[[freeze]]\nhours = '{hours}'")
    (freeze,) = load_topology(path, tokens=False).freezes
    assert (freeze.start_min, freeze.end_min) == minutes
    assert (freeze.tiers, freeze.days, freeze.tz) == ((), (), "UTC")


@pytest.mark.parametrize(
    "line, said",
    [
        ("dir = '../x'", "dir: is '../x', must be a relative path"),
        ("artifact = '-x'", "artifact: is '-x', must be a relative path"),
        ("extra = ['a', '/b', '-c']", "extra[1]: is '/b', must be a relative path"),
        ("version_from = '/x'", "version_from: is '/x', must be a relative path"),
        ("command = {}", "command: is a table, must be a command"),
        ("run = './server'", "run: is a string, must be a list"),
        ("runner = ['']", "runner[0]: the program's name is empty"),
        ("timeout = 0x" + "f" * 6000, "timeout: is negative or longer than ten years"),
        ("env = ['a']", "env: is a list, must be a table"),
        ("env.A.B = 'x'", "env.A: is a table, must be a string"),
    ],
)
def test_a_wrong_build_key_is_told(line: str, said: str, problems: Problems) -> None:
    assert problems(HEAD + "[build]\n" + line)[0].startswith(f"sando.toml:7: build.{said}")


def test_all_problems_are_told_at_once_in_the_order_of_the_file(problems: Problems) -> None:
    found = problems(
        HEAD.replace("/srv/app.git", "app.git") + "keep_releases = 0\n[build]\nextra = ['/a', '-b']\nx = 1\n"
    )
    assert [int(line.split(":")[1]) for line in found] == [2, 6, 8, 8, 9]
