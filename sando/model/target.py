"""Where a node is: `user@host[:port]` taken apart, strictly. Nothing else may ever reach a socket."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

SSH_PORT = 22
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TARGET = re.compile(
    rf"([a-z_][a-z0-9_.-]{{0,31}})@(?:\[([0-9A-Fa-f:.]+)\]|({_LABEL}(?:\.{_LABEL})*))(?::([0-9]{{1,5}}))?"
)
# What a resolver takes for an address: 127.1, 2130706433 and 0x7f000001 would all be this machine.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


class Target(NamedTuple):
    user: str
    host: str
    """Lower case; an IPv6 address without brackets, in its short form."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}" + ("" if self.port == SSH_PORT else f":{self.port}")


def target_of(text: str) -> Target:
    """ValueError where it is no `user@host[:port]`; the host is a name of RFC 1123, an IPv4 or an [IPv6] address."""
    try:
        return _parse(text)
    except ValueError:
        raise ValueError(f"{text!r} is no user@host[:port]") from None


def _parse(text: str) -> Target:
    found = _TARGET.fullmatch(text)
    if not found:
        raise ValueError
    user, address, name, digits = found.groups()
    port = SSH_PORT if digits is None else int(digits)
    if not 1 <= port <= 65535:
        raise ValueError
    return Target(user, str(IPv6Address(address)) if address else _host(name.lower()), port)


def _host(name: str) -> str:
    if _NUMBER.fullmatch(name):
        return str(IPv4Address(name))
    if len(name) > 253:
        raise ValueError
    return name
