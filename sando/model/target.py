"""Where a node is: `user@host[:port]` taken apart. The strict check of what was written stands in the config."""

import re
from ipaddress import IPv6Address
from typing import NamedTuple

SSH_PORT = 22
_TARGET = re.compile(
    r"([a-z_][a-z0-9_.-]{0,31})@(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9][A-Za-z0-9.-]*))(?::([0-9]{1,5}))?"
)


class Target(NamedTuple):
    user: str
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}" + ("" if self.port == SSH_PORT else f":{self.port}")


def target_of(text: str) -> Target:
    """ValueError where it is no `user@host[:port]`: nothing else may ever reach a socket."""
    found = _TARGET.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no user@host[:port]")
    host = str(IPv6Address(found[2])) if found[2] else found[3].lower()
    return Target(found[1], host, int(found[4] or SSH_PORT))
