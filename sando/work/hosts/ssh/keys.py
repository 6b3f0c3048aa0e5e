"""With which keys sandod logs in on a node: the declared one alone, else those of an agent and the user's usual files."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from paramiko import Agent, AuthenticationException, BadAuthenticationType, PKey, SSHException, Transport
from paramiko.pkey import UnknownKeyType

from sando.model.errors import WorkError
from sando.model.target import Target

log = logging.getLogger(__name__)

USUAL = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_OTHERS = 0o077


class Keys:
    def __init__(self, target: Target, identity_file: str | None) -> None:
        self._target = target
        self._declared = Path(identity_file) if identity_file else None

    def log_in(self, transport: Transport) -> None:
        """Try one key after the other. WorkError (errored) names those that the node did not take."""
        tried: list[str] = []
        with closing(Agent()) as agent:
            for name, key in self._candidates(agent):
                tried.append(name)
                try:
                    if not transport.auth_publickey(self._target.user, key):
                        return
                except BadAuthenticationType as error:
                    raise self._refused(
                        f"takes no keys, only {', '.join(error.allowed_types)}",
                        "set PubkeyAuthentication yes in its sshd_config",
                    ) from error
                except AuthenticationException:
                    if not transport.is_active():
                        raise
                    continue
                raise self._refused("wants more than a key", "sando logs in with a key alone")
        raise self._none_taken(tried)

    def _candidates(self, agent: Agent) -> Iterator[tuple[str, PKey]]:
        if self._declared:
            yield self._declared_key(self._declared, agent)
            return
        for key in agent.get_keys():
            yield f"{getattr(key, 'comment', '') or key.get_name()} (agent)", key
        for name in USUAL:
            path = Path(name).expanduser()
            if path.exists():
                try:
                    yield name, self._load(path)
                except WorkError as error:
                    log.info("%s", error.detail)

    def _declared_key(self, path: Path, agent: Agent) -> tuple[str, PKey]:
        """A file that a passphrase locks may have its key in the agent, as with ssh."""
        try:
            return str(path), self._load(path)
        except WorkError:
            public = path.with_name(path.name + ".pub")
            if public.is_file():
                wanted = public.read_text("utf-8", "replace").split()[1:2]
                for key in agent.get_keys():
                    if [key.get_base64()] == wanted:
                        return f"{path} (agent)", key
            raise

    def _load(self, path: Path) -> PKey:
        try:
            if path.stat().st_mode & _OTHERS:
                raise self._unusable(path, f"may be read by others; chmod 600 {path}")
            return PKey.from_path(path)
        except FileNotFoundError:
            raise self._unusable(path, "is not there; make it (ssh-keygen), or correct sando.toml") from None
        except OSError as error:
            raise self._unusable(path, f"cannot be read: {error.strerror}") from error
        except (SSHException, ValueError, TypeError, UnknownKeyType) as error:
            if "assw" in str(error) or "encrypted" in str(error):
                raise self._unusable(
                    path,
                    "has a passphrase, and nobody is there to type it; ssh-add it into sandod's agent, or make a key without",
                ) from error
            raise self._unusable(path, f"is no private key that can be used ({error})") from error

    def _unusable(self, path: Path, why: str) -> WorkError:
        return WorkError("connect", f"{self._target}: identity_file {path} {why}", errored=True)

    def _none_taken(self, tried: list[str]) -> WorkError:
        if not tried:
            return self._refused(
                "no key to log in with", f"set identity_file, or make {USUAL[0]} (ssh-keygen)"
            )
        return self._refused(
            f"does not let {self._target.user} in with {', '.join(tried)}",
            f"append the public key to ~{self._target.user}/.ssh/authorized_keys there (ssh-copy-id)",
        )

    def _refused(self, what: str, hint: str) -> WorkError:
        return WorkError("connect", f"{self._target}: {what}; {hint}", errored=True)
