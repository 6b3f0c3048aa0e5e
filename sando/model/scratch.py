"""Where the scratch database is: its URL taken apart, strictly. What libpq would read beyond it is refused."""

import re
from typing import NamedTuple

from sando.model.names import visible
from sando.model.target import target_of

PORT = 5432
EXAMPLE = "postgres://you@127.0.0.1/sando_scratch"

_URL = re.compile(
    r"postgres(?:ql)?://(?:([^:@/?#\[\]]*)(?::([^:@/?#\[\]]*))?@)?(\[[0-9A-Fa-f:.]+\]|[^:@/?#\[\]]*)(?::([0-9]{1,5}))?/([^/?#]*)(?:\?([^#]*))?"
)
_NAME = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"
)  # never an option, never what libpq reads as more than a name
_FOLDER = re.compile(r"/[A-Za-z0-9_./ -]{0,90}")  # a comma would make it a list of hosts
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class ScratchUrl(NamedTuple):
    user: str
    """Empty: the user that sandod runs as."""
    password: str
    host: str
    """A name, an address, the folder of a Unix socket, or empty: the socket of this machine."""
    port: int
    database: str
    sslmode: str
    connect_timeout: int

    def __str__(self) -> str:
        """As it may be shown: without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host.replace("/", "%2F")
        port = "" if self.port == PORT else f":{self.port}"
        return f"postgres://{self.user}{'@' if self.user else ''}{host}{port}/{self.database}"

    def __repr__(self) -> str:
        return str(self)


def scratch_of(url: str) -> ScratchUrl:
    """ValueError says what is wrong with it, and never quotes a password."""
    if not url.isascii() or any(
        char.isspace() or not char.isprintable() or char in '<>"\\^`|' for char in url
    ):
        raise ValueError("has characters that a URL cannot have; percent-encode them")
    if not re.match(r"postgres(?:ql)?://", url):
        raise ValueError(f'is no PostgreSQL URL; write "{EXAMPLE}"')
    found = _URL.fullmatch(url)
    if not found:
        raise ValueError(f'names no single server and database; write "{EXAMPLE}"')
    user, password, host, port, database, query = (part or "" for part in found.groups())
    more = _query(query)
    return ScratchUrl(
        user=_word(user, "user"),
        password=_word(password, "password"),
        host=_host(host, port),
        port=int(port or PORT),
        database=_database(_word(database, "database")),
        sslmode=more.get("sslmode", "prefer"),
        connect_timeout=int(more.get("connect_timeout", "10")),
    )


def _word(text: str, what: str) -> str:
    """The text with its percent-encoding taken off."""
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ValueError(f"has a % in its {what} that encodes nothing; write %25")
    raw = re.sub(b"%(..)", lambda code: bytes([int(code[1], 16)]), text.encode())
    try:
        word = raw.decode()
    except UnicodeDecodeError:
        raise ValueError(f"has a {what} that is no UTF-8") from None
    if visible(word) != word or "\n" in word:
        raise ValueError(f"has control characters in its {what}")
    return word


def _host(host: str, port: str) -> str:
    if port and not 1 <= int(port) <= 65535:
        raise ValueError(f"has port {port}, must be from 1 to 65535")
    if not host:
        return ""
    if "%" in host:
        folder = _word(host, "host")
        if not _FOLDER.fullmatch(folder) or ".." in folder.split("/"):
            raise ValueError(
                "has a host that is neither a name nor the folder of a socket (%2Frun%2Fpostgresql)"
            )
        return folder
    try:
        return target_of(f"scratch@{host}").host
    except ValueError:
        raise ValueError(f"has {visible(host)!r}, which is no single host") from None


def _database(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f'names no single database of letters, digits, "_", "." and "-"; write "{EXAMPLE}"')
    if name == "postgres" or re.fullmatch("template[01]", name):
        raise ValueError(
            f"names {name}, which belongs to the server; make a database for the rehearsals alone"
        )
    return name


def _query(query: str) -> dict[str, str]:
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    more = dict(pairs)
    if len(more) < len(pairs) or not more.keys() <= {"sslmode", "connect_timeout"}:
        raise ValueError("has query keys other than sslmode and connect_timeout, once each; remove them")
    if more.get("sslmode", "prefer") not in _SSL_MODES:
        raise ValueError(f"has a sslmode that is none of {', '.join(_SSL_MODES)}")
    if not re.fullmatch("[1-9][0-9]{0,3}", more.get("connect_timeout", "10")):
        raise ValueError("has a connect_timeout that is no number of seconds; write connect_timeout=10")
    return more
