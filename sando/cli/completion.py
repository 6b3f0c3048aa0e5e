"""`sando completion`: the script by which a shell asks `sando` what may stand at the cursor."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from sando.cli import COMPLETING
from sando.cli.errors import Command
from sando.cli.output import raw

SHELLS = ("bash", "zsh", "fish")
_FISH = """\
function _sando_completion
    for line in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) %(prog_name)s)
        set -l found (string split --max 1 "," $line)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2]
            case file
                __fish_complete_path $found[2]
            case plain
                echo $found[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(_sando_completion)"
"""
"""Click's own asks the same, and cuts what is said of a word at its first comma."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: commands, options, and the names of tiers, versions, gates and operations.

    \b
    bash: sando completion bash > ~/.local/share/bash-completion/completions/sando
    zsh:  sando completion zsh > "${fpath[1]}/_sando"
    fish: sando completion fish > ~/.config/fish/completions/sando.fish
    """  # noqa: D301  (click wants the sign itself: what follows it is not wrapped)
    raw(script(shell))


def script(shell: str) -> str:
    """Click's own, for this program; fish has ours."""
    if shell == "fish":
        return _FISH % {"complete_var": COMPLETING, "prog_name": "sando"}
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError(f"click knows {shell}")
    made = kind(click.Group(), {}, "sando", COMPLETING)
    return (
        ShellComplete.source(made).strip() + "\n"
    )  # bash's own looks for a bash first, which need not be here
