"""Completion in the real shells: commands, options, and the names that a real sandod has."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.system.terminal import Terminal
from tests.system.workspace import Workspace, tier

SHELLS = {
    "bash": ("bash --norc --noprofile -i", "PS1='ready> '; source {folder}/sando.bash"),
    "zsh": ("zsh -f -i", "PS1='ready> '; autoload -U compinit; compinit -u -D; source {folder}/_sando"),
    "fish": (
        "fish --no-config -i",
        "function fish_prompt; echo -n 'ready> '; end; source {folder}/sando.fish",
    ),
}
SCRIPTS = Path(__file__).resolve().parents[2] / "contrib" / "completions"


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """Tiers `staging` and `production`, versions 1.0-rc and 2.0, operations 1 to 3."""
    root = tmp_path_factory.mktemp("completion") / "ws"
    root.mkdir()
    gates = (
        'gates = [ { kind = "command", name = "smoke-of-ours", command = "true" }, '
        '{ kind = "manual_confirm", name = "smiled-at-by-a-person" } ]\n'
    )
    made = Workspace(root).configure(tier("staging", 1, gates), tier("production")).start()
    made.bring("1.0-rc", "staging")
    made.green("2.0")
    yield made
    assert not made.finish()


@pytest.fixture(params=SHELLS)
def shell(request, tmp_path):
    """A shell that knows nothing but our script; answers `type`, which ends with a Tab."""
    opened: list[Terminal] = []

    def begin(url: str) -> Terminal:
        command, setup = SHELLS[request.param]
        assert shutil.which(request.param), f"{request.param} is not installed"
        home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        terminal = Terminal(url, columns=100, command=command, PATH=path, ZDOTDIR=str(tmp_path), **home)
        opened.append(terminal)
        terminal.press(setup.format(folder=SCRIPTS), "enter", "clear", "enter").see(r"^ready>\n*$")
        return terminal

    yield begin
    for terminal in opened:
        terminal.__exit__()


WORDS = [
    ("sando rele", r"sando releases "),
    ("sando promote stag", r"sando promote staging "),
    ("sando promote staging 1.", r"sando promote staging 1\.0-rc "),
    ("sando lock al", r"sando lock all "),
    ("sando gate run staging sm", r"sando gate run staging smoke-of-ours "),
    ("sando rollback production --abort", r"sando rollback production --abort-running "),
]


def test_each_word_is_completed_by_what_there_is(flow, shell):
    terminal = shell(flow.url)
    for typed, completed in WORDS:
        terminal.press(typed, "tab").see(rf"(?m)^ready> {completed.strip()}$")
        terminal.press("ctrl-u").see(r"^ready>\n*$")


def test_several_are_listed(flow, shell):
    terminal = shell(flow.url)
    terminal.press("sando log ", "tab", "tab").see(r"\b1\b", r"\b2\b", r"\b3\b")


@pytest.mark.parametrize("shell", ["fish", "zsh"], indirect=True)
def test_what_is_said_of_each_comes_whole_with_its_commas(flow, shell):
    """bash shows no descriptions."""
    terminal = shell(flow.url)
    terminal.press("sando re", "tab", "tab").see(r"Say no to what runs on a tier; a confirm lifts it\.",
                                                  r"What was built; with VERSION, what is known of it\.")  # fmt: skip
    terminal.press("ctrl-u", "sando log ", "tab", "tab").see(
        r"build of 2\.0, succeeded", r"promote of 1\.0-rc, succeeded"
    )


def test_with_nobody_there_it_is_quiet(shell):
    terminal = shell("http://127.0.0.1:1")
    terminal.press("sando promote stag", "tab").press("x").see(r"sando promote stagx")
    assert "Traceback" not in terminal.text
    assert "nothing listens" not in terminal.text
