"""What keeps sando from a node, as a sentence that says what to do next. It looks at errors and opens nothing."""

from enum import StrEnum

from paramiko import ChannelException
from paramiko.ssh_exception import IncompatiblePeer

from sando.model.names import visible
from sando.model.target import Target


class Phase(StrEnum):
    """How far a connection has come."""

    RESOLVE = "its name is looked up"
    REACH = "it is dialled"
    GREET = "sshd is to say its version"
    AGREE = "keys are agreed on"
    LOGIN = "sando logs in"
    SHELL = "a shell is started"


_SILENT = {
    Phase.RESOLVE: "its name is not resolved within {s}; look at this machine's resolver, or name its address",
    Phase.REACH: "no answer within {s}; is it up, and may this machine reach its port {port}?",
    Phase.GREET: "port {port} takes connections, and no sshd speaks there within {s}; is it the right port, or is it overloaded?",
    Phase.AGREE: "sshd fell silent while keys were agreed on, after {s} in all; is it overloaded, or does the link lose large packets (MTU)?",
    Phase.LOGIN: "no answer to the login within {s}; look at what sshd waits for there (PAM, a full disk, a directory service)",
    Phase.SHELL: "logged in, and no shell answers within {s}; look at what the rc files of {user} do there",
}
_LOST = {
    Phase.REACH: "{why}; is it up, and is there a way to it (route, VPN, firewall)?",
    Phase.GREET: "it hung up before it said anything ({why}); is it sshd, does it have too many logins at once "
    "(MaxStartups), or shut this machine out?",
    Phase.AGREE: "the connection was lost while keys were agreed on ({why}); look at sshd's log there",
    Phase.LOGIN: "the connection was lost while logging in ({why}); look at sshd's log there (AllowUsers, MaxAuthTries)",
    Phase.SHELL: "logged in, and the connection was lost before a shell answered ({why}); look at sshd's log there",
}


def silence(phase: Phase, target: Target, seconds: float) -> str:
    return _SILENT[phase].format(s=f"{seconds:g}s", port=target.port, user=target.user)


def loss(phase: Phase, target: Target, error: BaseException) -> str:
    """What an error at this point means."""
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused; does sshd run there, on port {target.port}?"
    if isinstance(error, ChannelException):
        return "sshd opens no session; raise MaxSessions in its sshd_config"
    if isinstance(error, IncompatiblePeer):
        return f"no common algorithm ({reason(error)}); bring its OpenSSH up to date"
    if phase is Phase.RESOLVE:
        return (
            f"its name cannot be resolved ({reason(error)}); correct ssh_target, or this machine's resolver"
        )
    return _LOST[phase].format(why=reason(error))


def reason(error: BaseException) -> str:
    """The error's own words, as they may be shown."""
    said = str(getattr(error, "strerror", None) or error)
    if isinstance(error, EOFError) or not said or said.startswith("Error reading SSH protocol banner"):
        return "the connection was closed"
    return visible(said)
