"""A command as it is started and called, and what it may see: an allow-list, so that nothing secret is passed by accident."""

import os
import shlex
from collections.abc import Mapping

from sando.model.names import visible
from sando.model.topology import Command

_NAMES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TERM", "SHELL", "TMPDIR"}
    | {"CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"}
    | {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}
)
_PREFIXES = ("LC_", "SSL_CERT_")
_PATH = "/usr/local/bin:/usr/bin:/bin"


def clean_env(
    extra: Mapping[str, str] | None = None, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The allowed part of `base` (default: the daemon's own environment), and `extra` over it."""
    source = os.environ if base is None else base
    kept = {k: v for k, v in source.items() if k in _NAMES or k.startswith(_PREFIXES)}
    return {"PATH": _PATH, **kept, **(extra or {})}


def command_argv(command: Command) -> tuple[str, ...]:
    """A tuple is argv already, a string is one for `sh -c`."""
    return ("sh", "-c", command) if isinstance(command, str) else tuple(command)


def called(command: Command) -> str:
    """The command in a sentence, without what sando puts before it."""
    return f"`{visible(command if isinstance(command, str) else shlex.join(command))}`"
