"""The page of `sando --help`, and what every command has in common."""

import subprocess
import sys

import click
import pytest

from sando import __version__
from sando.cli import page
from sando.cli.codes import MEANINGS

ASK_NOBODY = {"init", "completion"}


def commands() -> list[tuple[str, click.Command]]:
    """All of them, those of groups too."""
    found: list[tuple[str, click.Command]] = []
    for entry in page.BY_NAME.values():
        command = page.load(entry)
        if isinstance(command, click.Group):
            found += [(f"{entry.name} {name}", sub) for name, sub in command.commands.items()]
        else:
            found.append((entry.name, command))
    return found


COMMANDS = commands()


def test_the_page_names_every_command_variable_and_exit_code(run):
    ran = run("--help")
    assert ran.code == 0
    for section, entries in page.SECTIONS:
        assert f"\n{section}:\n" in ran.out
        assert all(f"\n  {e.name} " in ran.out for e in entries)
    assert all(
        name in ran.out for name in ("SANDO_DAEMON", "SANDO_TOKEN", "NO_COLOR", "sando promote a --wait")
    )
    assert all(f"\n  {code}  " in ran.out for code, _ in MEANINGS)


def test_the_commands_of_the_contract_are_there():
    spec = "status promote rollback confirm reject rebuild backup log history releases plan lock unlock events check abort dora init completion"  # fmt: skip
    assert set(spec.split()) <= set(page.BY_NAME)


def test_the_page_loads_no_command_and_nothing_heavy():
    code = (
        "import sys\nfrom sando.cli import main\nmain(['--help'])\n"
        "heavy = {'msgspec', 'http.client', 'ssl', 'rich', 'curses', 'tomlkit', 'wcwidth', 'sando.cli.status'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_the_command_line_never_loads_what_is_the_daemons():
    modules = ", ".join(f"sando.cli.{e.home.partition(':')[0]}" for e in page.BY_NAME.values())
    code = (
        f"import sys, {modules}\n"
        "print(sorted({'paramiko', 'peewee', 'falcon', 'pykka', 'npyscreen', 'curses', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_says_what_it_does_and_what_each_option_is_for(name, command, run):
    ran = run(*name.split(), "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: sando {name} ")
    assert command.help
    for option in (p for p in command.params if isinstance(p, click.Option)):
        assert option.help, option.name
    if name not in ASK_NOBODY:
        assert "--json" in ran.out


def test_one_option_means_the_same_in_every_command():
    seen: dict[str, str] = {}
    shared = {"--json", "--yes", "--wait", "--key"}
    for _, command in COMMANDS:
        for option in (p for p in command.params if isinstance(p, click.Option)):
            for flag in shared & set(option.opts):
                assert seen.setdefault(flag, str(option.help)) == option.help
    assert set(seen) == shared


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["promte", "a"], "there is no command 'promte'; did you mean 'promote'?"),
        (["promote"], "Missing argument 'TIER'"),
        (["promote", "a", "--hotfx"], "--hotfx"),
        (["promote", "a", "--timeout", "soon"], "'soon' is no duration; write 90, 90s, 15m, 2h or 1d"),
        (["promote", "../state"], "'../state' is no name"),
        (["promote", "a", ""], "'' is no name"),
        (["confirm", "a", ""], "'' is no name"),
        (["rebuild", ""], "'' is no name"),
        (["promote", "a", "--key", "世界"], "is no key"),
        (["abort", "last"], "'last' is not a valid"),
        (["lock", "a"], "--reason"),
        (["lock", "a", "-m", "x", "--expires", "soon"], "'soon' is no end of a lock"),
        (["releases", "--before", "x"], "Invalid value for '--before': 'x'"),
        (["releases", "--before", ""], "Invalid value for '--before': ''"),
        (["plan", "confirm", "a"], "No such command 'confirm'"),
    ],
)
def test_a_usage_error_is_2_and_asks_nobody(run, puppet, words, said):
    ran = run(*words)
    assert ran.code == 2
    assert said in ran.err
    assert puppet.asked == []


def test_the_version_is_told(run):
    assert run("--version").out == f"sando {__version__}\n"
