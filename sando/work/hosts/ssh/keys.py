"""With which keys sandod logs in on a node: the declared one alone, else those of an agent and the user's usual files."""

import os
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from shlex import quote

from paramiko import AuthenticationException, BadAuthenticationType, Message, PKey, SSHException, Transport
from paramiko.pkey import UnknownKeyType

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.target import Target
from sando.work.hosts.ssh.agent import KeyAgent

USUAL = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_OTHERS, _ALL = 0o077, 0o007
_MAGIC = b"openssh-key-v1\0"


class Keys:
    def __init__(self, target: Target, identity_file: str | None) -> None:
        self._target = target
        self._declared = Path(identity_file) if identity_file else None

    def log_in(self, transport: Transport) -> None:
        """Try one key after the other. WorkError (errored) names those that the node did not take."""
        tried: list[str] = []
        unusable: list[str] = []
        with closing(KeyAgent()) as agent:
            for name, key in self._candidates(agent, unusable):
                tried.append(name)
                if self._lets_in(transport, key, tried, agent):
                    return
        raise self._none_taken(tried, unusable)

    def _lets_in(self, transport: Transport, key: PKey, tried: list[str], agent: KeyAgent) -> bool:
        try:
            more = transport.auth_publickey(self._target.user, key)
        except BadAuthenticationType as error:
            ways = visible(", ".join(error.allowed_types))
            raise self._refused(
                f"takes no keys, only {ways}", "set PubkeyAuthentication yes in its sshd_config"
            ) from error
        except SSHException as error:
            if agent.trouble:
                raise self._refused(f"{tried[-1]} {agent.trouble}", "or set identity_file") from error
            if transport.is_active() and isinstance(error, AuthenticationException):
                return False
            if len(tried) > 1:
                raise self._refused(
                    f"ended the connection after {len(tried)} keys ({', '.join(tried)})",
                    "set identity_file to the one that it knows, or raise MaxAuthTries in its sshd_config",
                ) from error
            raise
        if more:
            raise self._refused(
                f"wants more than a key ({visible(', '.join(more))})", "sando logs in with a key alone"
            )
        return True

    def _candidates(self, agent: KeyAgent, unusable: list[str]) -> Iterator[tuple[str, PKey]]:
        if self._declared:
            yield self._declared_key(self._declared, agent)
            return
        for key in agent.get_keys():
            yield f"{visible(key.comment) or key.get_name()} (agent)", key
        for name in USUAL:
            path = Path(name).expanduser()
            if path.exists():
                try:
                    yield name, _load(path)
                except _Unusable as error:
                    unusable.append(f"{path} {error}")

    def _declared_key(self, path: Path, agent: KeyAgent) -> tuple[str, PKey]:
        """A file that a passphrase locks may have its key in the agent, as with ssh."""
        try:
            return str(path), _load(path)
        except _Unusable as error:
            wanted = _public(path) if error.locked else None
            for key in agent.get_keys() if wanted else ():
                if key.blob == wanted:
                    return f"{path} (agent)", key
            raise WorkError(
                "connect", f"{self._target}: identity_file {path} {error}", errored=True
            ) from error

    def _none_taken(self, tried: list[str], unusable: list[str]) -> WorkError:
        passed_over = f" (not tried: {'; '.join(unusable)})" if unusable else ""
        if not tried:
            hint = f"set identity_file, or make {USUAL[0]} (ssh-keygen)"
            return self._refused(f"no key to log in with{passed_over}", hint)
        user = self._target.user
        return self._refused(
            f"does not let {user} in with {', '.join(tried)}{passed_over}",
            f"append the public key to ~{user}/.ssh/authorized_keys there (ssh-copy-id)",
        )

    def _refused(self, what: str, hint: str) -> WorkError:
        return WorkError("connect", f"{self._target}: {what}; {hint}", errored=True)


class _Unusable(Exception):
    """Why a file is no key to log in with, and what to do."""

    def __init__(self, why: str, *, locked: bool = False) -> None:
        super().__init__(why)
        self.locked = locked


def _load(path: Path) -> PKey:
    try:
        if path.suffix == ".pub":
            raise _Unusable("is a public key; name the private one beside it")
        found = path.stat()
        # As ssh does: of another's file (a credential of systemd is root's) the group may be how it is lent to us.
        if found.st_mode & (_OTHERS if found.st_uid == os.geteuid() else _ALL):
            raise _Unusable(f"may be read by others; chmod 600 {quote(str(path))}")
        return PKey.from_path(path)
    except FileNotFoundError:
        raise _Unusable("is not there; make it (ssh-keygen), or correct sando.toml") from None
    except OSError as error:
        raise _Unusable(f"cannot be read: {error.strerror}") from error
    except (SSHException, ValueError, TypeError, UnknownKeyType) as error:
        if "assw" in str(error) or "encrypted" in str(error):
            hint = "ssh-add it into sandod's agent, or make a key without"
            raise _Unusable(
                f"has a passphrase, and nobody is there to type it; {hint}", locked=True
            ) from error
        raise _Unusable(f"is no private key that can be used{_guess(path)}") from error


def _guess(path: Path) -> str:
    with suppress(OSError):
        if path.read_bytes().startswith((b"ssh-", b"ecdsa-")):
            return ": it is the public one; name the file without .pub"
    return "; make one with ssh-keygen -t ed25519"


def _public(path: Path) -> bytes | None:
    """The public half of a locked key: in the file beside it, or in its own head, which no passphrase locks."""
    with suppress(OSError, ValueError, IndexError):
        return b64decode(path.with_name(path.name + ".pub").read_text("utf-8").split()[1])
    with suppress(OSError, ValueError, SSHException):
        data = b64decode(
            "".join(line for line in path.read_text("utf-8").splitlines() if "-----" not in line)
        )
        head = Message(data.removeprefix(_MAGIC))
        for _ in ("cipher", "kdf", "its options"):
            head.get_binary()
        return head.get_binary() if data.startswith(_MAGIC) and head.get_int() == 1 else None
    return None
