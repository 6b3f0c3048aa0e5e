"""Hosts, ports and URLs of the config files. Strict: what could be read as an option or as another host is refused."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from sando.config.values import Bad, shown, text
from sando.model.scratch import scratch_of
from sando.model.target import target_of
from sando.model.topology import LOCAL

_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_REMOTE_PATH = re.compile(r"[\w./+@,=:~-]+")  # a shell on the other side reads it: nothing to quote


class Address(NamedTuple):
    host: str
    """Lower case; an IPv6 address in its short form, without brackets."""
    port: int | None


def host(name: str) -> str:
    """A host name by RFC 1123 or an IP literal (IPv6 in brackets), in its plain form."""
    try:
        if name.startswith("["):
            return str(IPv6Address(name[1:-1]))
        if re.fullmatch(r"[0-9.]+", name):
            return str(IPv4Address(name))
    except ValueError:
        raise Bad(f"has {shown(name)}, no IP address") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise Bad(f"has {shown(name)}, no host name; write a name, an IPv4 address or [an IPv6 address]")
    return name.lower()


def address(where: str) -> Address:
    found = _HOST_PORT.fullmatch(where)
    if not found:
        # Before an @ may stand a password: it is not quoted.
        raise Bad(
            f"has {shown(where.rpartition('@')[2])}, no host and port; write host:port, an IPv6 host in brackets"
        )
    return Address(host(found[1]), _port(found[2]))


def _port(digits: str | None) -> int | None:
    if digits is None:
        return None
    if not 1 <= int(digits) <= 65535:
        raise Bad(f"has port {digits}, must be from 1 to 65535")
    return int(digits)


def host_and_port(value: object) -> Address:
    """`host:port`, both of them."""
    found = address(text(value))
    if found.port is None:
        raise Bad(f'is {shown(value)}, without a port; write "127.0.0.1:7766"')
    return found


def tcp(value: object) -> str:
    host_and_port(value)
    return text(value)


def plain_host(value: object) -> str:
    """A host's name as it stands in a `Host` header, without its port."""
    name = text(value)
    return host(f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name)


def is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        found = ip_address(name)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def ssh_target(value: object) -> str:
    """`local`, or `user@host[:port]`."""
    target = text(value)
    if target == LOCAL:
        return target
    user, at, where = target.partition("@")
    if not at or not _USER.fullmatch(user):
        raise Bad(
            f'is {shown(target)}, must be "local" or user@host[:port]; write "deploy@prod-1.example:22"'
        )
    address(where)
    try:
        target_of(target)
    except ValueError:  # 0x7f.1: a name by the letter, and an address to a resolver
        raise Bad(
            f"has {shown(where)}, which a resolver takes for a number; write the address in full"
        ) from None
    return target


def machine(target: str) -> tuple[str, int]:
    """Which machine a valid ssh_target means, whoever logs in there."""
    if target == LOCAL:
        return (LOCAL, 0)
    found = target_of(target)
    return (found.host, found.port)


def web_url(value: object) -> str:
    """An http or https URL. Problems never quote it: a webhook's URL is often a secret."""
    url = text(value)
    parts = _split(url)
    if parts.scheme not in {"http", "https"}:
        raise Bad('is no http or https URL; write "http://127.0.0.1:8080/health"')
    _check_server(parts)
    return url


def with_port(parse: Callable[[object], str]) -> Callable[[object], str]:
    """The same value, where `{port}` stands for the free port that a gate picks."""

    def parse_template(value: object) -> str:
        parse(value.replace("{port}", "1") if isinstance(value, str) else value)
        return text(value)

    return parse_template


def scratch_url(value: object) -> str:
    """The URL of the scratch database; what libpq reads beyond it (services, other hosts) is refused."""
    url = text(value)
    try:
        scratch_of(url)
    except ValueError as wrong:
        raise Bad(str(wrong)) from None
    return url


def _split(url: str) -> SplitResult:
    if not url.isascii() or any(char.isspace() or char in '<>"\\^`|' for char in url):
        raise Bad("has characters that a URL cannot have; percent-encode them")
    try:
        return urlsplit(url)
    except ValueError:
        raise Bad("is no URL; check its host and brackets") from None


def _check_server(parts: SplitResult) -> None:
    where = parts.netloc.rpartition("@")[2]
    if not where:
        raise Bad("names no host; write scheme://host:port/path")
    address(where)


def backup_source(value: object) -> str:
    """Exactly `file:///path`, `rsync://host[:port]/module/path` or `ssh://user@host[:port]/path`. Problems quote no login."""
    source = text(value)
    scheme, _, rest = source.partition("://")
    where, slash, path = rest.partition("/")
    checks = {"file": _check_file, "rsync": _check_rsync, "ssh": _check_ssh}
    if scheme not in checks or not slash:
        raise Bad("must be file:///path, rsync://host[:port]/module/path or ssh://user@host[:port]/path")
    if not path or path.startswith("/") or ".." in path.split("/") or any(char in path for char in "?#%\\"):
        raise Bad("its path must be plain: no '..', no '//' in front, none of ? # % \\")
    if path.removesuffix("/").endswith(("/", "/.")) or path in {".", "./"}:
        raise Bad("its path must end with a name")
    checks[scheme](where, path)
    return source


def _check_file(where: str, _path: str) -> None:
    if where:
        raise Bad("names a host for a file; write file:///path with three slashes")


def _check_rsync(where: str, path: str) -> None:
    if "@" in where:
        raise Bad("has a login, which sando does not keep; serve the module without one, or use ssh://")
    address(where)
    module, _, inside = path.partition("/")
    if not inside or module.startswith("-"):
        raise Bad("names no module and path; write rsync://host/module/path")
    if inside.startswith("-"):  # the server takes what follows its module for an option
        raise Bad("has a path that begins with -; rename the file")
    _check_remote(path)


def _check_ssh(where: str, path: str) -> None:
    user, at, machine_part = where.partition("@")
    if not at or not _USER.fullmatch(user):
        raise Bad("must log in as user@host[:port], without a password; write ssh://backup@prod-1:22/path")
    address(machine_part)
    _check_remote(path)


def _check_remote(path: str) -> None:
    if not _REMOTE_PATH.fullmatch(path):
        raise Bad(f"has the path {shown('/' + path)}; use letters, digits and . _ / + @ , = : ~ - only")
