"""Where a backup comes from: its URL taken apart, and the argv that brings it. It opens nothing and starts nothing."""

import re
import shlex
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

from sando.model.errors import WorkError
from sando.model.topology import BackupSpec

STEP = "backup"
SSH_PORT = 22
HEADER = "sando-backup"
"""The first word of the line that tells, before the bytes come, what they are: then a word of ours, `file` or `folder`,
and the size, or `-`. A key that is bound to one command on the other side sends the bytes alone."""
CHANGED = 75
"""Exit status of a source that changed while it was read."""
_FORMS = "file:///path, rsync://host[:port]/module/path or ssh://user@host[:port]/path"
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_REMOTE_PATH = re.compile(r"[\w./+@,=:~-]+")  # no glob for rsyncd, nothing that a shell would read
_NOT_IN_OPTIONS = '"\\%'  # ssh reads these in the files that its options name: quotes, escapes, tokens
_INTO = 'out=$1; shift; exec "$@" >"$out"'
# One line, and none of ' \\ ! in it: so it is the same text inside the quotes of sh, csh and fish. Where stat is neither
# GNU's nor BusyBox's, neither the size is known nor whether the file changed.
_SEND = (
    "p=$1 n=$2; "
    'at() { stat -L -c "%s %Y %i" -- "$p" 2>/dev/null || echo -; }; '
    'if [ -d "$p" ]; then '
    's=0; for z in $(stat -L -c %s -- "$p"/* 2>/dev/null); do s=$((s + z)); done; '
    f'echo "{HEADER} $n folder $s"; exec tar -C "$p" -cf - .; fi; '
    'if [ -e "$p" ]; then [ -f "$p" ] || { echo "$p is neither a file nor a folder" >&2; exit 1; }; fi; '
    f'a=$(at); echo "{HEADER} $n file $a"; cat -- "$p" || exit 1; '
    f'[ "$a" = "$(at)" ] || {{ echo "$p changed while it was copied" >&2; exit {CHANGED}; }}'
)


@dataclass(frozen=True, slots=True)
class Source:
    """`path` is absolute; of rsync its first part is the module. `host` is empty for a file."""

    scheme: str
    path: str
    host: str = ""
    port: int | None = None
    user: str = ""

    @property
    def shown(self) -> str:
        """The URL as it may be shown: there never is a password in it."""
        login = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{login}{self._bracketed}{port}{self.path}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse(url: str) -> Source:
    """Take a source URL apart; WorkError, which never quotes a login, for what could mean something else."""
    scheme, _, rest = url.partition("://")
    if scheme not in {"file", "rsync", "ssh"} or "/" not in rest:
        raise _bad(f"must be {_FORMS}")
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in "?#%\\" for char in url):
        raise _bad("must be plain: no control characters, none of ? # % \\")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad(f"is no URL: write {_FORMS}") from None
    parts = parts._replace(path=_checked(parts.path))
    if scheme == "file":
        return _file(parts)
    if not _REMOTE_PATH.fullmatch(parts.path):
        raise _bad("has a path with other characters than letters, digits and . _ / + @ , = : ~ -")
    return _rsync(parts) if scheme == "rsync" else _ssh(parts)


def send_argv(source: Source, spec: BackupSpec, word: str) -> tuple[str, ...]:
    """What writes the source to its stdout, behind a HEADER with that word: the bytes of a file, or a folder as a tar."""
    send = ("sh", "-c", _SEND, "sh", source.path, word)
    if source.scheme == "file":
        return send
    return ssh_argv(source, spec, " ".join(map(shlex.quote, send)))


def program(source: Source) -> str:
    """The program that this machine needs for it."""
    return {"rsync": "rsync", "ssh": "ssh"}.get(source.scheme, "sh")


_RSYNC = (
    "rsync", "--no-motd", "--protect-args", "--no-human-readable", "--no-recursive", "--copy-links", "--no-links",
    "--no-devices", "--no-specials",
)  # fmt: skip


def list_argv(source: Source, *, inside: bool = False) -> tuple[str, ...]:
    """One line that says what the source is, or one for each file in the folder that it is."""
    return (*_RSYNC, "--list-only", "--dirs", "--", source.shown + "/" * inside)


def file_argv(source: Source, target: str) -> tuple[str, ...]:
    """One regular file into one that is there: neither a second file nor a link or device has a place to go.

    In place, so that the target grows, and nothing lies beside it after a kill.
    """
    return (*_RSYNC, "--inplace", "--whole-file", "--", source.shown, target)


def folder_argv(source: Source, target: str) -> tuple[str, ...]:
    """The files of one folder, and nothing below it, into a folder that is there and empty."""
    return (*_RSYNC, "--dirs", "--inplace", "--whole-file", "--", f"{source.shown}/", f"{target}/")


def ssh_argv(source: Source, spec: BackupSpec, command: str) -> tuple[str, ...]:
    """The client, without anybody's config, asking nobody; an unknown host key is an error."""
    argv = [
        "ssh",
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "ConnectTimeout=10",
    ]
    if spec.identity_file is not None:
        argv += ["-i", _plain(spec.identity_file, "identity_file"), "-o", "IdentitiesOnly=yes"]
    if spec.known_hosts is not None:
        argv += [
            "-o",
            f'UserKnownHostsFile="{_plain(spec.known_hosts, "known_hosts")}"',
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ]
    return (*argv, "-p", str(source.port or SSH_PORT), "--", f"{source.user}@{source.host}", command)


def into(target: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The same command with its stdout in a file: a log takes both streams, and a backup is no log."""
    return ("sh", "-c", _INTO, "sh", target, *argv)


def _file(parts: SplitResult) -> Source:
    if parts.netloc:
        raise _bad("names a host for a file: write file:///path with three slashes")
    return Source("file", parts.path)


def _rsync(parts: SplitResult) -> Source:
    if "@" in parts.netloc:
        raise _bad("has a login: write rsync://host[:port]/module/path")
    module, _, inside = parts.path[1:].partition("/")
    if not inside or module.startswith("-"):
        raise _bad("names no module and file: write rsync://host/module/path")
    if inside.startswith("-"):  # the server takes what follows its module for an option
        raise _bad("has a path that begins with -: rename the file")
    return Source("rsync", parts.path, *_server(parts))


def _ssh(parts: SplitResult) -> Source:
    if parts.password is not None or not _USER.fullmatch(parts.username or ""):
        raise _bad("must log in as user@host[:port], without a password: write ssh://backup@prod-1:22/path")
    return Source("ssh", parts.path, *_server(parts), parts.username or "")


def _server(parts: SplitResult) -> tuple[str, int | None]:
    where = parts.netloc.rpartition("@")[2]
    name, bracket, after = where.partition("]")
    if not bracket:
        name, colon, digits = where.partition(":")
    else:
        colon, digits = after[:1], after[1:]
    if colon and not (colon == ":" and _PORT.fullmatch(digits) and int(digits) <= 65535):
        raise _bad("has no port from 1 to 65535 behind its host")
    return _host(name + bracket), int(digits) if digits else None


def _host(name: str) -> str:
    try:
        if name.startswith("["):
            return str(IPv6Address(name[1:-1]))
        if re.fullmatch(r"[0-9.]+", name):
            return str(IPv4Address(name))
    except ValueError:
        raise _bad("has a host that is no IP address") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise _bad("has a host that is no host name: write a name, an IPv4 address or [an IPv6 address]")
    return name.lower()


def _checked(path: str) -> str:
    """Without the slash that a folder's path may end with."""
    plain = path.removesuffix("/")
    if len(plain) < 2 or plain.startswith("//") or ".." in plain.split("/") or plain.endswith(("/", "/.")):
        raise _bad("its path must be plain: no '..', no '//' in front, and a name at its end")
    return plain


def _plain(path: str, key: str) -> str:
    odd = any(ord(char) < 0x20 or char in _NOT_IN_OPTIONS for char in path) or "${" in path
    if not path.startswith("/") or odd:
        raise WorkError(STEP, f'[backup] {key} must be an absolute path without " \\ % or ${{', errored=True)
    return path


def _bad(why: str) -> WorkError:
    return WorkError(STEP, f"[backup] source {why}", errored=True)
