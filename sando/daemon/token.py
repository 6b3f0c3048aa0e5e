"""`sandod token`: makes a secret, shows it once, and keeps only its hash in daemon.toml. It starts nothing."""

import argparse
import hashlib
import secrets
import sys
from typing import get_args

from sando import config
from sando.config import tokens
from sando.config.daemon import TOKEN_NAMES, Scope, is_token_name
from sando.model.errors import ConfigError
from sando.model.topology import TokenSpec

PREFIX = "sando_"
"""So that a secret that lies where it should not is seen for what it is."""
NEXT = "from its next reload on (SIGHUP, POST /reload)"
SCOPES: tuple[Scope, ...] = get_args(Scope)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="the actor that operations and events will show")
    parser.add_argument("--scope", choices=SCOPES, help="read < build (rebuild) < operate (everything)")
    parser.add_argument("--replace", action="store_true", help="a new secret for a name that has one")
    parser.add_argument("--print", action="store_true", help="show the lines for daemon.toml, change nothing")
    parser.add_argument("--list", action="store_true", help="names and scopes")
    parser.add_argument("--remove", metavar="NAME", help="take a token out of daemon.toml")


def run(path: str, given: argparse.Namespace) -> int:
    """0, or 2 for words that do not go together. Raises ConfigError."""
    chosen = [given.name is not None, given.list, given.remove is not None]
    if sum(chosen) != 1 or (given.name is not None and given.scope is None):
        _say("sandod token NAME --scope SCOPE [--replace | --print], or --list, or --remove NAME")
        return 2
    if given.list:
        _list(path)
    elif given.remove is not None:
        tokens.remove(path, given.remove)
        _warn(path)
        _say(f"{path}: token {given.remove} is gone; sandod refuses it {NEXT}")
    else:
        _make(path, given)
    return 0


def _list(path: str) -> None:
    for token in config.load_daemon(path).tokens:
        print(f"{token.name}\t{token.scope}")  # noqa: T201


def _make(path: str, given: argparse.Namespace) -> None:
    if not is_token_name(given.name):
        raise ConfigError((f"{given.name!a} is no token's name; {TOKEN_NAMES}",))
    secret = PREFIX + secrets.token_urlsafe(32)
    token = TokenSpec(given.name, given.scope, hashlib.sha256(secret.encode()).hexdigest())
    if given.print:
        _say(f"add these lines to {path}:\n\n{tokens.lines_of(token)}")
    else:
        tokens.add(path, token, replace=given.replace)
        _warn(path)
        _say(f"{path}: token {token.name} ({token.scope}) is in; sandod knows it {NEXT}")
    _say("The token, shown this once:")
    print(secret, flush=True)  # noqa: T201


def _warn(path: str) -> None:
    """What `sandod --check` would say of the files as they are now."""
    for line in config.check(path)[0]:
        _say(f"warning: {line}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
