"""daemon.toml -> DaemonSpec. It reads nothing of sando.toml and starts nothing."""

import re
from hashlib import sha256
from typing import Literal, get_args

from sando.config.addresses import Address, host_and_port, is_loopback, plain_host, scratch_url, web_url
from sando.config.document import Document
from sando.config.table import Table
from sando.config.values import Bad, command, flag, folder, items, one_of, shown, text
from sando.model.events import EVENT_TYPES
from sando.model.names import ANONYMOUS, GATE
from sando.model.notices import EVERYTHING
from sando.model.topology import Command, DaemonSpec, NotifySpec, TokenSpec

LogFormat = Literal["text", "json"]
Scope = Literal["read", "build", "operate"]

KEYS = (
    "listen", "db_path", "topology_path", "workdir", "release_root", "scratch_db_url", "allow_anonymous",
    "allowed_hosts", "log_format", "token", "notify",
)  # fmt: skip
TOKEN_KEYS = ("name", "scope", "sha256")
NOTIFY_KEYS = ("on", "url", "command", "name", "secret")

SHORTEST_SECRET = 16
RESERVED = (ANONYMOUS, "git", "hook", "sandod")
"""Actors that are no people: a token of such a name would act in theirs."""
TOKEN_NAMES = f"use letters, digits, '_', '.' and '-', 32 at most, and none of {', '.join(RESERVED)}"

_NOWHERE = Address("", None)
_ON = (*EVENT_TYPES, EVERYTHING)
_TOKEN_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,31}")
_LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
_SCOPES: tuple[Scope, ...] = get_args(Scope)


def read_daemon(document: Document) -> DaemonSpec:
    """What the file declares; values that cannot be used are blank, and told in the document's problems."""
    root = Table.root(document)
    root.only(*KEYS)
    listen = root.need("listen", host_and_port, _NOWHERE, '"127.0.0.1:7766"')
    spec = DaemonSpec(
        host=listen.host,
        port=listen.port or 0,
        db_path=root.need("db_path", folder, "", '"/var/lib/sando/sando.db"'),
        topology_path=root.need("topology_path", folder, "", '"/etc/sando/sando.toml"'),
        workdir=root.need("workdir", folder, "", '"/var/lib/sando/work"'),
        release_root=root.need("release_root", folder, "", '"/var/lib/sando/releases"'),
        scratch_db_url=root.maybe("scratch_db_url", scratch_url),
        allow_anonymous=root.take("allow_anonymous", flag, default=False),
        allowed_hosts=root.take("allowed_hosts", items(plain_host, filled=False), ()),
        log_format=root.take("log_format", one_of(_LOG_FORMATS), "text"),
        tokens=_tokens(root),
        notify=_notifiers(root),
    )
    _check_open_door(root, spec)
    _check_folders(root, spec)
    return spec


def _tokens(root: Table) -> tuple[TokenSpec, ...]:
    found: list[TokenSpec] = []
    for table in root.tables("token", "[[token]] as `sandod token NAME --scope SCOPE` does"):
        token = _token(table)
        if token.name and any(token.name == other.name for other in found):
            table.problem(f"a token {shown(token.name)} stands further up; give each its own name", "name")
        if token.sha256 and any(token.sha256 == other.sha256 for other in found):
            table.problem("another token has the same hash; make one with `sandod token`", "sha256")
        found.append(token)
    return tuple(found)


def _token(table: Table) -> TokenSpec:
    table.only(*TOKEN_KEYS, of=" of a token")
    return TokenSpec(
        name=table.need("name", _token_name, "", '"max"'),
        scope=table.need("scope", one_of(_SCOPES, "scope"), "read", '"read", "build" or "operate"'),
        sha256=table.need("sha256", _sha256, "", "the line that `sandod token NAME --scope SCOPE` prints"),
    )


def is_token_name(name: str) -> bool:
    return bool(_TOKEN_NAME.fullmatch(name)) and name not in RESERVED


def _token_name(value: object) -> str:
    name = text(value)
    if not is_token_name(name):
        raise Bad(f"is {shown(name)}, no token's name; {TOKEN_NAMES}")
    return name


def _sha256(value: object) -> str:
    digest = text(value).lower()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise Bad("is no SHA-256 (64 hex digits); make the token with `sandod token NAME --scope SCOPE`")
    return digest


def _notifiers(root: Table) -> tuple[NotifySpec, ...]:
    found: list[NotifySpec] = []
    for table in root.tables("notify", "[[notify]] with on and url"):
        spec = _notify(table)
        if any(spec.name == other.name for other in found):
            table.problem(f"a notifier {shown(spec.name)} stands further up; give each its own name", "name")
        found.append(spec)
    return tuple(found)


def _notify(table: Table) -> NotifySpec:
    table.only(*NOTIFY_KEYS, of=" of a notify")
    table.exactly_one("url", "command", example='url = "https://chat.example/hook"')
    if table.has("secret") and not table.has("url"):
        table.problem("signs what is sent to a url; a command needs none", "secret")
    blank: tuple[str, ...] = ()
    on = table.need("on", items(one_of(_ON, "event type")), blank, '["BuildFailed", "DeployFailed"]')
    url, argv = table.maybe("url", web_url), table.maybe("command", command)
    name = table.take("name", _notifier_name, _unnamed(url, argv))
    return NotifySpec(name=name, on=on, url=url, command=argv, secret=table.maybe("secret", _secret))


def _unnamed(url: str | None, argv: Command | None) -> str:
    """A name that stays the same as long as its target does, and tells nothing of it."""
    target = url or "\0".join([argv] if isinstance(argv, str) else argv or ())
    return f"{'webhook' if url else 'command'}-{sha256(target.encode()).hexdigest()[:6]}"


def _notifier_name(value: object) -> str:
    name = text(value)
    if not GATE.fullmatch(name):
        raise Bad(f"is {shown(name)}, no notifier's name; use a-z, 0-9, - and _, a letter first, 32 at most")
    return name


def _secret(value: object) -> str:
    """Never quoted in a problem."""
    if not isinstance(value, str) or not value.strip():
        raise Bad("is no text; write the secret that the receiver checks the signature with")
    if len(value) < SHORTEST_SECRET:
        raise Bad(f"is shorter than {SHORTEST_SECRET} characters; make one with `openssl rand -hex 32`")
    return value


def _check_open_door(root: Table, spec: DaemonSpec) -> None:
    if not spec.host or is_loopback(spec.host) or spec.allow_anonymous or root.has("token"):
        return
    root.problem(
        "listens beyond loopback without tokens; add one with `sandod token NAME --scope operate`, "
        "or set allow_anonymous = true, or listen on 127.0.0.1",
        "listen",
    )


def _check_folders(root: Table, spec: DaemonSpec) -> None:
    if spec.workdir and spec.workdir == spec.release_root:
        root.problem("is the workdir too; give the release store a folder of its own", "release_root")
