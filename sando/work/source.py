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
_FORMS = "file:///path, rsync://host[:port]/module/path or ssh://user@host[:port]/path"
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_REMOTE_PATH = re.compile(r"[\w./+@,=:~-]+")  # no glob for rsyncd, nothing that a shell would read
_NOT_IN_OPTIONS = '"\\%'  # ssh reads these in the files that its options name: quotes, escapes, tokens
_INTO = 'out=$1; shift; exec "$@" >"$out"'


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
    _check_path(parts.path)
    if scheme == "file":
        return _file(parts)
    if not _REMOTE_PATH.fullmatch(parts.path):
        raise _bad("has a path with other characters than letters, digits and . _ / + @ , = : ~ -")
    return _rsync(parts) if scheme == "rsync" else _ssh(parts)


def fetch_argv(source: Source, spec: BackupSpec, target: str) -> tuple[str, ...]:
    """What writes the source to the file `target`, which is there already and empty."""
    match source.scheme:
        case "rsync":
            return rsync_argv(source, target)
        case "ssh":
            return into(target, ssh_argv(source, spec.identity_file, spec.known_hosts))
        case _:
            return into(target, ("cat", "--", source.path))


def program(source: Source) -> str:
    """The program that this machine needs for it."""
    return {"rsync": "rsync", "ssh": "ssh"}.get(source.scheme, "cat")


def rsync_argv(source: Source, target: str) -> tuple[str, ...]:
    """One regular file into one that is there: neither a second file nor a link or device has a place to go."""
    only_a_file = ("--no-recursive", "--copy-links", "--no-links", "--no-devices", "--no-specials")
    in_place = (
        "--inplace",
        "--whole-file",
    )  # so that the target grows, and nothing lies beside it after a kill
    return ("rsync", "--no-motd", "--protect-args", *only_a_file, *in_place, "--", source.shown, target)


def ssh_argv(source: Source, identity_file: str | None, known_hosts: str | None) -> tuple[str, ...]:
    """`cat` over ssh, without anybody's ssh config, asking nobody; an unknown host key is an error."""
    argv = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    if identity_file is not None:
        argv += ["-i", _plain(identity_file, "identity_file"), "-o", "IdentitiesOnly=yes"]
    if known_hosts is not None:
        argv += ["-o", f'UserKnownHostsFile="{_plain(known_hosts, "known_hosts")}"']
    where = f"{source.user}@{source.host}"
    return (*argv, "-p", str(source.port or SSH_PORT), "--", where, f"cat -- {shlex.quote(source.path)}")


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


def _check_path(path: str) -> None:
    if len(path) < 2 or path.startswith("//") or ".." in path.split("/"):
        raise _bad("its path must be plain: no '..', no '//' in front")
    if path.endswith(("/", "/.")):
        raise _bad("names a folder: write the path of one file")


def _plain(path: str, key: str) -> str:
    odd = any(ord(char) < 0x20 or char in _NOT_IN_OPTIONS for char in path) or "${" in path
    if not path.startswith("/") or odd:
        raise WorkError(STEP, f'[backup] {key} must be an absolute path without " \\ % or ${{', errored=True)
    return path


def _bad(why: str) -> WorkError:
    return WorkError(STEP, f"[backup] source {why}", errored=True)
