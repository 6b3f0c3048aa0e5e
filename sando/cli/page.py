"""All commands with a sentence each, and the page that `sando --help` is. A command's own file is loaded when it is called."""

from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from sando import __version__
from sando.cli.codes import MEANINGS
from sando.cli.errors import ends
from sando.cli.outlets import told_apart


class Entry(NamedTuple):
    """`home` is `MODULE:NAME` below sando.cli."""

    name: str
    home: str
    says: str


SECTIONS = (
    ("See", (
        Entry("status", "status:status", "What runs on each tier, its gates, and what is under way."),
        Entry("history", "history:history", "What was done, by whom, and how it ended; newest first."),
        Entry("releases", "releases:releases", "What was built; with VERSION, what is known of it."),
        Entry("log", "logs:log", "The output of an operation; -f follows it."),
        Entry("events", "stream:events", "What happened, event by event; -f goes on as it happens."),
        Entry("plan", "planning:plan", "What a promotion or rollback would do, and what blocks it."),
        Entry("dora", "dora:dora", "How fast, how often, how safely: DORA's numbers by tier."),
    )),
    ("Move versions", (
        Entry("promote", "moves:promote", "Bring a version into a tier from the one before it."),
        Entry("rollback", "moves:rollback", "Take a tier back to the version before; makes it whole first."),
        Entry("confirm", "people:confirm", "Say yes to what runs on a tier."),
        Entry("reject", "people:reject", "Say no to what runs on a tier; a confirm lifts it."),
        Entry("lock", "locks:lock", "Let no promotion into a tier, or into all of them."),
        Entry("unlock", "locks:unlock", "Lift a tier's lock."),
    )),
    ("Run", (
        Entry("rebuild", "runs:rebuild", "Build the tip of the branch, or SHA; the build in flight ends."),
        Entry("gate", "runs:gate", "Run a gate of a tier once more."),
        Entry("backup", "runs:backup", "Fetch the backup that migrations are rehearsed on."),
        Entry("abort", "aborting:abort", "Stop an operation at its next safe point."),
        Entry("wait", "waits:wait", "Watch an operation until it has ended; its end is the exit code."),
    )),
    ("Set up", (
        Entry("init", "workspace:init", "Write a commented workspace, ready to run, into a folder."),
        Entry("check", "checking:check", "Validate daemon.toml and sando.toml, without sandod."),
        Entry("reload", "service:reload", "Let sandod read its configuration again."),
        Entry("notify", "service:notify", "Send each [[notify]] something now, and say what came of it."),
        Entry("completion", "completion:completion", "The completion script for bash, zsh or fish."),
    )),
)  # fmt: skip

ENVIRONMENT = (
    ("SANDO_DAEMON", "where sandod is (default http://127.0.0.1:7766)"),
    ("SANDO_TOKEN", "the token to send, where sandod wants one"),
    ("SANDO_CONFIG", "daemon.toml, for `sando check` (default /etc/sando/daemon.toml)"),
    ("NO_COLOR, FORCE_COLOR", "no colours at all; colours in pipes too"),
)
EXAMPLES = (
    ("sando", "the screen"),
    ("sando promote a --wait", "mm's version into tier a, and wait until it runs there"),
    ("sando promote b 0.8.2 --hotfix --reason 'login is broken'", "past tier a's burn-in, and past nothing else"),
    ("sando rollback b --yes --wait --json", "without a question, and its end as JSON"),
    ("sando log -f", "the output of what runs now"),
    ("sando plan promote b && echo ready", "exits as the promotion would"),
)  # fmt: skip
BY_NAME = {entry.name: entry for _, entries in SECTIONS for entry in entries}


class Page(click.Group):
    """Knows the commands by the table above, and loads none before it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(BY_NAME)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = BY_NAME.get(cmd_name)
        return load(entry) if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in BY_NAME:
            from sando.model.names import nearest  # noqa: PLC0415  (only for who mistyped)

            near = nearest(args[0], BY_NAME)
            ctx.fail(f"there is no command {args[0]!r}{f'; {near}' if near else ''}")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with told_apart():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with told_apart():
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, entries in SECTIONS:
            _section(formatter, title, [(f"{e.name:<10}", e.says) for e in entries])
        _section(formatter, "Environment", ENVIRONMENT)
        _section(formatter, "Exit codes", [(str(code), says) for code, says in MEANINGS])
        with formatter.section("Examples"):
            for line, says in EXAMPLES:
                formatter.write(f"{'':2}{line}\n{'':6}{says}\n")
        formatter.write(
            "\n`sando COMMAND --help` says more about each. Every command that asks sandod takes --json.\n"
        )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(e.name, help=e.says) for e in BY_NAME.values() if e.name.startswith(incomplete)
        ]
        return names or click.Command.shell_complete(self, ctx, incomplete)


def load(entry: Entry) -> click.Command:
    module, _, name = entry.home.partition(":")
    found: click.Command = getattr(import_module(f"sando.cli.{module}"), name)
    return found


def _section(formatter: click.HelpFormatter, title: str, rows: Any) -> None:
    with formatter.section(title):
        formatter.write_dl(list(rows), col_max=24)


@click.group(
    "sando",
    cls=Page,
    subcommand_metavar="COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="sando %(version)s")
def sando() -> None:
    """From a git push all the way to production: what sandod does, asked and told. Alone, `sando` opens the screen."""


def run(words: list[str]) -> int:
    """The exit code of one command line. Bytes that are no text are replaced: nothing here could send them."""
    words = [word.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for word in words]
    return ends(lambda: sando.main(words, prog_name="sando", standalone_mode=False))
