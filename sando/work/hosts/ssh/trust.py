"""Whether a node is who it was: its host key against known_hosts. It reads these files and never writes one.

A key that nobody vouches for and a key that changed are different dangers, and are told apart. Names are matched as
ssh matches them (hashed ones and patterns too); `@revoked` wins over all, `@cert-authority` is not known here.
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from paramiko import PKey, SSHException, Transport
from paramiko.pkey import UnknownKeyType

from sando.model.errors import WorkError
from sando.model.target import SSH_PORT, Target

USUAL = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


class _Known(NamedTuple):
    key: PKey
    path: Path
    line: int
    revoked: bool


class Trust:
    """The known_hosts of one node: the file that it declares, else the usual ones of sandod's user."""

    def __init__(self, target: Target, known_hosts: str | None) -> None:
        self._target = target
        self._name = target.host if target.port == SSH_PORT else f"[{target.host}]:{target.port}"
        self._paths = [Path(p).expanduser() for p in ([known_hosts] if known_hosts else USUAL)]
        self._declared = known_hosts is not None

    def prefer(self, transport: Transport) -> None:
        """Have the node show a key of a type that is known, where it has several."""
        known = {found.key.get_name() for found in self._known() if not found.revoked}
        options = transport.get_security_options()
        options.key_types = sorted(options.key_types, key=lambda name: _plain(name) not in known)

    def check(self, key: PKey) -> None:
        """WorkError (errored) unless known_hosts vouches for this key."""
        known = list(self._known())
        if bad := [found for found in known if found.revoked and found.key == key]:
            raise self._revoked(bad[0])
        good = [found for found in known if not found.revoked]
        if any(found.key == key for found in good):
            return
        raise self._changed(key, good) if good else self._unknown(key)

    def vouched(self) -> frozenset[bytes]:
        """The keys that known_hosts has for it. WorkError where a file that was declared cannot be read."""
        return frozenset(found.key.asbytes() for found in self._known() if not found.revoked)

    def _revoked(self, found: _Known) -> WorkError:
        return self._refused(
            f"its host key is revoked: {_told(found.key)} ({found.path}:{found.line})",
            "give the node another host key (ssh-keygen -A), and find out who has had this one",
        )

    def _unknown(self, key: PKey) -> WorkError:
        return self._refused(
            f"its host key is unknown: {_told(key)}",
            f"compare that fingerprint with the node's own, then add what `{self._scan(key)}` prints to {self._paths[0]}",
        )

    def _changed(self, key: PKey, good: Iterable[_Known]) -> WorkError:
        was = ", ".join(f"{_told(found.key)} ({found.path}:{found.line})" for found in good)
        forget = " and ".join(
            f"`ssh-keygen -f {quote(str(path))} -R '{self._name}'`"
            for path in dict.fromkeys(found.path for found in good)
        )
        return self._refused(
            f"ITS HOST KEY HAS CHANGED: it is {_told(key)}, and was {was}",
            "somebody may stand between, or the node was set up anew; find out which. "
            f"Only then: {forget}, and add what `{self._scan(key)}` prints",
        )

    def _refused(self, what: str, hint: str) -> WorkError:
        return WorkError("connect", f"{self._target}: {what}; {hint}", errored=True)

    def _scan(self, key: PKey) -> str:
        kind = key.get_name().removeprefix("ssh-").partition("-")[0]
        return f"ssh-keyscan -p {self._target.port} -t {kind} {self._target.host}"

    def _known(self) -> Iterator[_Known]:
        for path in self._paths:
            for number, line in enumerate(self._lines(path), 1):
                fields = line.split()
                revoked = fields[:1] == ["@revoked"]
                names, kind, data, *_ = [*fields[revoked:], "", "", ""]
                if _matches(names, self._name) and (key := _key(kind, data)):
                    yield _Known(key, path, number, revoked)

    def _lines(self, path: Path) -> list[str]:
        try:
            return path.read_text("utf-8", "replace").split("\n")
        except FileNotFoundError:
            if self._declared:
                raise self._refused(
                    f"known_hosts {path} is not there", "make it, or correct sando.toml"
                ) from None
        except OSError as error:
            raise self._refused(
                f"known_hosts {path} cannot be read: {error.strerror}",
                "let sandod's user read it, or correct sando.toml",
            ) from error
        return []


def _key(kind: str, data: str) -> PKey | None:
    """None for what is no key, or of a type that paramiko does not know."""
    with suppress(UnknownKeyType, SSHException, ValueError):
        return PKey.from_type_string(kind, b64decode(data, validate=True))
    return None


def _matches(names: str, name: str) -> bool:
    """Whether one of the names is this one, and none that stands behind a `!`."""
    hits = {part.startswith("!") for part in names.split(",") if _is(part.removeprefix("!"), name)}
    return hits == {False}


def _is(known: str, name: str) -> bool:
    if known.startswith("|"):
        return _is_hashed(known, name)
    pattern = re.escape(known.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, name) is not None


def _is_hashed(known: str, name: str) -> bool:
    """`|1|salt|digest`."""
    with suppress(ValueError):
        _, one, salt, digest = known.split("|")
        return one == "1" and hmac.digest(b64decode(salt), name.encode(), "sha1") == b64decode(digest)
    return False


def _plain(algorithm: str) -> str:
    """Under which name a key of this signature algorithm stands in known_hosts."""
    plain = algorithm.removesuffix("-cert-v01@openssh.com")
    return "ssh-rsa" if plain.startswith("rsa-sha2-") else plain


def _told(key: PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
