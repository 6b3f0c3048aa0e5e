"""Whether a node is who it was: its host key against known_hosts. It reads these files and never writes one.

A key that nobody vouches for and a key that changed are different dangers, and are told apart. Names are matched as
they stand or hashed; `@revoked` is honoured, patterns and `@cert-authority` are not known here.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from paramiko import HostKeys, PKey, Transport
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from sando.model.errors import WorkError
from sando.model.target import SSH_PORT, Target

USUAL = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
_REVOKED = "@revoked "


class Trust:
    """The known_hosts of one node: the file that it declares, else the usual ones of sandod's user."""

    def __init__(self, target: Target, known_hosts: str | None) -> None:
        self._target = target
        self._paths = [Path(p).expanduser() for p in ([known_hosts] if known_hosts else USUAL)]
        self._declared = known_hosts is not None

    def prefer(self, transport: Transport) -> None:
        """Have the node show a key of a type that is known, where it has several."""
        known = {key.get_name() for key, revoked in self._keys() if not revoked}
        options = transport.get_security_options()
        types = options.key_types
        options.key_types = sorted(types, key=lambda name: _plain(name) not in known)

    def check(self, key: PKey) -> None:
        """WorkError (errored) unless known_hosts vouches for this key."""
        found = list(self._keys())
        if any(revoked and known == key for known, revoked in found):
            raise self._refused(f"its host key is revoked: {_told(key)}", self._files())
        good = [known for known, revoked in found if not revoked]
        if key in good:
            return
        if good:
            raise self._changed(key, good)
        raise self._unknown(key)

    def _unknown(self, key: PKey) -> WorkError:
        return self._refused(
            f"its host key is unknown: {_told(key)}",
            f"compare that fingerprint with the node's own, then add what `{self._scan(key)}` prints to {self._files()}",
        )

    def _changed(self, key: PKey, good: Iterable[PKey]) -> WorkError:
        was = ", ".join(_told(known) for known in good)
        return self._refused(
            f"ITS HOST KEY HAS CHANGED: it is {_told(key)}, and was {was}",
            f"somebody may stand between, or the node was set up anew; find out which. Only then: "
            f"ssh-keygen -f {self._files()} -R '{_name(self._target)}', and add what `{self._scan(key)}` prints",
        )

    def _refused(self, what: str, hint: str) -> WorkError:
        return WorkError("connect", f"{self._target}: {what}; {hint}", errored=True)

    def _scan(self, key: PKey) -> str:
        kind = key.get_name().removeprefix("ssh-").partition("-")[0]
        return f"ssh-keyscan -p {self._target.port} -t {kind} {self._target.host}"

    def _files(self) -> str:
        return str(self._paths[0])

    def _keys(self) -> Iterator[tuple[PKey, bool]]:
        """The keys of this node, and whether each is revoked."""
        name = _name(self._target)
        for path in self._paths:
            for line in self._lines(path):
                revoked = line.startswith(_REVOKED)
                with suppress(InvalidHostKey, ValueError):
                    entry = HostKeyEntry.from_line(line.removeprefix(_REVOKED))
                    if entry and entry.key and any(_is(name, known) for known in entry.hostnames or ()):
                        yield entry.key, revoked

    def _lines(self, path: Path) -> list[str]:
        try:
            return path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            if self._declared:
                raise self._refused(
                    f"known_hosts {path} is not there", "make it, or correct sando.toml"
                ) from None
        except OSError as error:
            raise self._refused(
                f"known_hosts {path} cannot be read: {error.strerror}", "correct that"
            ) from error
        return []


def _name(target: Target) -> str:
    return target.host if target.port == SSH_PORT else f"[{target.host}]:{target.port}"


def _is(name: str, known: str) -> bool:
    return known == name or (known.startswith("|1|") and HostKeys.hash_host(name, known) == known)


def _plain(algorithm: str) -> str:
    """Under which name a key of this signature algorithm stands in known_hosts."""
    plain = algorithm.removesuffix("-cert-v01@openssh.com")
    return "ssh-rsa" if plain.startswith("rsa-sha2-") else plain


def _told(key: PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
