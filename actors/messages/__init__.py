"""Every message between the actors, and the protocol in one page.

Imperative names are commands, past tense are facts. The docstring of each begins "Sender -> Receiver:".
A command from outside carries a `Reply`; whichever actor decides answers it, once.
"""

from actors.messages.builds import AbortGates, EnterBuildTier, GateAgain, GatesDone, ReturnTo
from actors.messages.commands import (
    AbortOperation,
    Command,
    Confirm,
    FetchBackup,
    LockTier,
    Promote,
    Rebuild,
    Reject,
    Reload,
    Rollback,
    RunGate,
    UnlockTier,
)
from actors.messages.life import (
    Begin,
    ChildFailed,
    Drained,
    GiveUp,
    JobDone,
    JobProgress,
    Life,
    Note,
    Publish,
    Shutdown,
    Tick,
)
from actors.messages.moves import (
    Admit,
    AskAgain,
    BurnWasReset,
    Configured,
    LiftMark,
    Promoted,
    Vouch,
    VouchAgain,
    VouchedAgain,
)
from actors.messages.nodes import CancelJob, Do, Look, NodeDone
from actors.messages.reply import Ref, Reply

__all__ = [
    "AbortGates",
    "AbortOperation",
    "Admit",
    "AskAgain",
    "Begin",
    "BurnWasReset",
    "CancelJob",
    "ChildFailed",
    "Command",
    "Configured",
    "Confirm",
    "Do",
    "Drained",
    "EnterBuildTier",
    "FetchBackup",
    "GateAgain",
    "GatesDone",
    "GiveUp",
    "JobDone",
    "JobProgress",
    "Life",
    "LiftMark",
    "LockTier",
    "Look",
    "NodeDone",
    "Note",
    "Promote",
    "Promoted",
    "Publish",
    "Rebuild",
    "Ref",
    "Reject",
    "Reload",
    "Reply",
    "ReturnTo",
    "Rollback",
    "RunGate",
    "Shutdown",
    "Tick",
    "UnlockTier",
    "Vouch",
    "VouchAgain",
    "VouchedAgain",
]
