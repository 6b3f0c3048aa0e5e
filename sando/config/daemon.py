"""daemon.toml -> DaemonSpec. It reads nothing of sando.toml and starts nothing."""

import re
from typing import Literal, get_args

from sando.config.addresses import Address, host_and_port, is_loopback, plain_host, scratch_url, web_url
from sando.config.document import Document
from sando.config.table import Table
from sando.config.values import Bad, command, flag, folder, items, one_of, shown, text
from sando.model.events import EVENT_TYPES
from sando.model.topology import DaemonSpec, NotifySpec, TokenSpec

LogFormat = Literal["text", "json"]
Scope = Literal["read", "build", "operate"]

KEYS = (
    "listen", "db_path", "topology_path", "workdir", "release_root", "scratch_db_url", "allow_anonymous",
    "allowed_hosts", "log_format", "token", "notify",
)  # fmt: skip
TOKEN_KEYS = ("name", "scope", "sha256")
NOTIFY_KEYS = ("on", "url", "command")

_NOWHERE = Address("", None)
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
        notify=tuple(_notify(table) for table in root.tables("notify", "[[notify]] with on and url")),
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


def _token_name(value: object) -> str:
    name = text(value)
    if not _TOKEN_NAME.fullmatch(name):
        raise Bad(f"is {shown(name)}, no token's name; use letters, digits, '_', '.' and '-', 32 at most")
    return name


def _sha256(value: object) -> str:
    digest = text(value).lower()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise Bad("is no SHA-256 (64 hex digits); make the token with `sandod token NAME --scope SCOPE`")
    return digest


def _notify(table: Table) -> NotifySpec:
    table.only(*NOTIFY_KEYS, of=" of a notify")
    table.exactly_one("url", "command", example='url = "https://chat.example/hook"')
    return NotifySpec(
        on=table.need("on", items(one_of(EVENT_TYPES, "event type")), (), '["BuildFailed", "DeployFailed"]'),
        url=table.maybe("url", web_url),
        command=table.maybe("command", command),
    )


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
