"""`sando init`, `sando check` and `sando completion`: what needs no daemon."""

import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sando import config
from sando.cli import completers, workspace
from tests.client.puppet import Answer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "name", ["ws", "deep/er", "with space", 'quo"te', "back\\slash", "@ROOT@ #x", "wörld"]
)
def test_the_workspace_is_one_that_sandod_takes(run, tmp_path, name):
    folder = tmp_path / name
    ran = run("init", str(folder))
    assert (ran.code, ran.err) == (0, "")
    problems, warnings = config.check(folder / "daemon.toml")
    assert problems == ()
    assert warnings == ()
    daemon = config.load_daemon(folder / "daemon.toml")
    topology = config.load_topology(daemon.topology_path, tokens=False, store=daemon.release_root)
    assert daemon.db_path == f"{folder}/sando.db"
    assert [t.name for t in topology.tiers] == ["mm", "a", "b"]
    assert [n.release_root for t in topology.tiers for n in t.nodes] == [
        f"{folder}/nodes/a-1",
        f"{folder}/nodes/b-1",
    ]


def test_what_is_there_is_not_overwritten(run, tmp_path):
    (tmp_path / "sando.toml").write_text("mine")
    ran = run("init", str(tmp_path))
    assert ran.code == 2
    assert "sando.toml is there already" in ran.err
    assert (tmp_path / "sando.toml").read_text() == "mine"
    assert not (tmp_path / "daemon.toml").exists()


def test_a_folder_that_cannot_be_is_a_usage_error(run, tmp_path):
    (tmp_path / "file").touch()
    ran = run("init", str(tmp_path / "file" / "ws"))
    assert ran.code == 2
    assert "not a directory" in ran.err.lower()


def test_a_folder_without_a_name_is_a_usage_error_and_not_the_current_one(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run("init", "")
    assert ran.code == 2
    assert "'' is no folder; the current one is ." in ran.err
    assert list(tmp_path.iterdir()) == []
    assert run("init", ".").code == 0


def test_a_port_that_is_taken_is_not_written(run, tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(workspace, "USUAL_PORT", port)
        ran = run("init", str(tmp_path / "ws"))
    listen = tomllib.loads((tmp_path / "ws" / "daemon.toml").read_text())["listen"]
    assert listen != f"127.0.0.1:{port}"
    assert f"export SANDO_DAEMON=http://{listen}" in ran.out


def test_every_example_in_the_comments_is_one_that_sandod_takes(tmp_path):
    """What is commented out would work: each block that begins with a table, on its own."""
    text = workspace.filled("sando.toml", tmp_path, 7766)
    for begins in ("# [backup]\n", "# [[freeze]]\n"):
        start = text.index(begins)
        block = text[start:].split("\n\n")[0]
        clear = (
            text + "\n" + "\n".join(line.removeprefix("# ").removeprefix("#") for line in block.splitlines())
        )
        daemon = tmp_path / f"{len(begins)}.toml"
        daemon.write_text(workspace.filled("daemon.toml", tmp_path, 7766))
        (tmp_path / "sando.toml").write_text(clear)
        assert config.check(daemon)[0] == ()


def test_check_says_that_both_files_can_be_used(run, tmp_path):
    run("init", str(tmp_path / "ws"))
    path = str(tmp_path / "ws" / "daemon.toml")
    ran = run("check", "--config", path)
    assert (ran.code, ran.out) == (0, f"{path}: ok, and so is {tmp_path}/ws/sando.toml\n")


def test_check_tells_every_problem_by_line_and_is_1(run, tmp_path, monkeypatch):
    run("init", str(tmp_path / "ws"))
    file = tmp_path / "ws" / "sando.toml"
    file.write_text(file.read_text().replace("provisioned = true", "provisoned = true"))
    monkeypatch.setenv("SANDO_CONFIG", str(tmp_path / "ws" / "daemon.toml"))
    ran = run("check", "--json")
    assert ran.code == 1
    assert ran.document["ok"] is False
    assert len([p for p in ran.document["problems"] if "provisoned" in p]) == 3
    ran = run("check")
    assert (ran.code, ran.out) == (1, "")
    assert f"{file}:" in ran.err


def test_check_says_the_same_as_sandod(run, tmp_path):
    run("init", str(tmp_path / "ws"))
    config_path = str(tmp_path / "ws" / "daemon.toml")
    done = subprocess.run(
        [sys.executable, "-m", "sando.daemon", "--check"], env={"SANDO_CONFIG": config_path}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, run("check", "--config", config_path).out, "")


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", "sando.bash"), ("zsh", "_sando"), ("fish", "sando.fish")]
)
def test_the_scripts_of_contrib_are_those_that_it_prints(run, shell, file):
    assert run("completion", shell).out == (ROOT / "contrib" / "completions" / file).read_text()


def test_the_help_of_completion_has_a_line_for_each_shell_as_it_is_typed(run):
    lines = [line.strip() for line in run("completion", "--help").out.splitlines()]
    assert "bash: sando completion bash > ~/.local/share/bash-completion/completions/sando" in lines
    assert 'zsh:  sando completion zsh > "${fpath[1]}/_sando"' in lines
    assert "fish: sando completion fish > ~/.config/fish/completions/sando.fish" in lines


# -- what may stand at the cursor --------------------------------------------------------------------------


def words(find, **params) -> list[str]:
    import click

    context = click.Context(click.Command("x"))
    context.params.update(params)
    return [item.value for item in find(context, None, "")]


@pytest.fixture
def named(puppet, monkeypatch):
    monkeypatch.setenv("SANDO_DAEMON", puppet.url)
    puppet.tiers[1]["gates"] = [{"kind": "boot_smoke", "name": "smoke", "outcome": "passed"}]
    releases = [
        {"version": "0.8.2+g1a2b3c4", "subject": "evil\x1b[31m, \\u202e"},
        {"version": "0.8.1", "subject": None},
    ]
    puppet.answers["GET", "/releases"] = Answer(body={"releases": releases, "next": None})
    operations = [{"id": 44, "kind": "promote", "version": "0.8.2", "sha": None, "status": "running"}]
    puppet.answers["GET", "/operations"] = Answer(body={"operations": operations, "next": None})
    return puppet


def test_names_come_from_sandod(named):
    assert words(completers.tiers) == ["mm", "a"]
    assert words(completers.tiers_or_all) == ["mm", "a", "all"]
    assert words(completers.versions) == ["0.8.2+g1a2b3c4", "0.8.1"]
    assert words(completers.operations) == ["44"]
    assert words(completers.gates, tier="a") == ["smoke"]


def test_only_gates_that_can_be_run_are_offered_to_be_run(named):
    kinds = ("boot_smoke", "burn_in", "command", "manual_confirm")
    named.tiers[1]["gates"] = [{"kind": kind, "name": f"the-{kind}", "outcome": "pending"} for kind in kinds]
    assert words(completers.gates, tier="a") == ["the-boot_smoke", "the-command"]


def test_descriptions_hold_nothing_that_a_shell_would_take_for_its_own(named):
    import click

    helps = [str(i.help) for i in completers.versions(click.Context(click.Command("x")), None, "")]
    assert not any(c in "".join(helps) for c in "\x1b\n\\")


@pytest.mark.parametrize(
    "answer", [Answer(401, {}), Answer(raw=b"<html>"), Answer(body={}), Answer(hang_up=True)]
)
def test_whatever_is_wrong_there_are_no_names_and_no_words(named, capfd, answer):
    for path in ("/state", "/releases", "/operations"):
        named.answers["GET", path] = answer
    assert [words(f) for f in (completers.tiers, completers.versions, completers.operations)] == [[], [], []]
    assert capfd.readouterr() == ("", "")


def test_nobody_waits_for_a_sandod_that_does_not_answer(tmp_path):
    """The process ends by itself, with nothing said."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        env = {"SANDO_DAEMON": f"http://127.0.0.1:{silent.getsockname()[1]}", "_SANDO_COMPLETE": "bash_complete",
               "COMP_WORDS": "sando promote ", "COMP_CWORD": "2", "PYTHONPATH": str(ROOT)}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "sando.cli"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    assert (done.stdout.strip(), done.stderr) == ("", "")
