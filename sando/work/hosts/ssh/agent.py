"""The keys of sandod's ssh-agent, asked with a deadline: a hung agent costs a moment and never a node. It stores none."""

import logging
import os
import socket
from typing import Any

from paramiko import Message, SSHException
from paramiko.agent import AgentKey, AgentSSH

log = logging.getLogger(__name__)

AGENT_S = 2.0
_FAILURE = 5  # SSH_AGENT_FAILURE


class KeyAgent(AgentSSH):  # its protected methods are made for that; the type stubs do not have them
    """What `SSH_AUTH_SOCK` names. Nothing is asked before its keys are wanted; where there is none, it has no keys."""

    def __init__(self) -> None:
        super().__init__()
        self._path = os.environ.get("SSH_AUTH_SOCK", "")
        self.trouble = ""
        """What went wrong at its last answer."""

    def get_keys(self) -> tuple[AgentKey, ...]:
        if self._conn is None and self._path:  # type: ignore[attr-defined]
            conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                conn.settimeout(AGENT_S)
                conn.connect(self._path)
                self._connect(conn)  # type: ignore[attr-defined]
            except (OSError, SSHException, ValueError, TypeError) as error:
                log.info("ssh-agent %s: no key of it is used: %s", self._path, error)
                conn.close()
                self.close()
        return tuple(self._keys)  # type: ignore[attr-defined]

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]
        self._path = ""

    def _send_message(self, msg: Any) -> tuple[int, Message]:
        try:
            kind, answer = super()._send_message(msg)  # type: ignore[misc]
        except TimeoutError:
            self.trouble = f"is not signed with: the agent does not answer within {AGENT_S:g}s"
            raise SSHException(self.trouble) from None
        if kind == _FAILURE:
            self.trouble = "cannot be used for signing: the agent refuses (is it locked, or to be confirmed?)"
        return kind, answer
