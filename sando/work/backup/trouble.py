"""Why a source could not be had, from how its program ended and what it said: told with the next step. It runs nothing."""

import re

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.topology import BackupSpec
from sando.work.backup.source import CHANGED, SSH_PORT, STEP, Source, program
from sando.work.running import Exit

_LOST = {
    "ssh": frozenset({255}),
    "rsync": frozenset({10, 11, 12, 14, 22, 30, 35}),  # sockets, protocol, our own files, memory, timeouts
}
_NOISE = ("sando: ", "rsync error:")
_CHANGED_HINT = "something still writes to it; write the dump beside it and rename it when it is whole"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_OFFENDING = re.compile(r"Offending \S+ key in (\S+:[0-9]+)")


class NoDump(Exception):
    """What came can be nobody's dump; the text goes on where the name of the source ends."""


def refused(source: Source, spec: BackupSpec, ended: Exit, said: str) -> WorkError:
    """`said`: the last lines of what it wrote."""
    if ended.code == CHANGED and source.scheme != "rsync":
        return changed(source)
    how = f"ended with {ended}" if ended.signal is None else f"was {ended}"
    errored = ended.code is None or ended.code in _LOST.get(source.scheme, ())
    hint = _ssh_hint(source, spec, said) if source.scheme == "ssh" else _rsync_hint(said)
    line = _line(source, said)
    return told(source, hint or f"{program(source)} {how}{line and ': '}{line}", errored=errored, tail=said)


def told(source: Source, why: str, *, errored: bool = False, tail: str = "") -> WorkError:
    return WorkError(STEP, f"{visible(source.shown)}: {why}", errored=errored, tail=tail)


def changed(source: Source) -> WorkError:
    return told(source, f"it changed while it was copied: {_CHANGED_HINT}")


def _line(source: Source, said: str) -> str:
    """The line that says most: rsync tells why first, and then what came of it; ssh and cat at the end."""
    lines = [x for x in said.splitlines() if x.strip() and not x.startswith(_NOISE)]
    first = [x for x in lines if x.startswith(("rsync:", "@ERROR"))] if source.scheme == "rsync" else []
    return visible((first or lines[::-1])[0].strip())[:300].rstrip(".") if lines else ""


def _rsync_hint(said: str) -> str:
    return f"it went away while it was copied: {_CHANGED_HINT}" if "vanished" in said else ""


def _ssh_hint(source: Source, spec: BackupSpec, said: str) -> str:
    """What ssh says in a paragraph, in a sentence with the command that helps."""
    name = source.host if source.port in {None, SSH_PORT} else f"[{source.host}]:{source.port}"
    scan = f"ssh-keyscan -p {source.port or SSH_PORT} {source.host}"
    known = visible(spec.known_hosts or "~/.ssh/known_hosts of the user that runs sandod")
    shown = f" ({found[0]})" if (found := _FINGERPRINT.search(said)) else ""
    if "IDENTIFICATION HAS CHANGED" in said:
        where = f" ({visible(found[1])})" if (found := _OFFENDING.search(said)) else ""
        return (
            f"ITS HOST KEY HAS CHANGED: it is another one{shown} than the one that is known{where}; somebody may stand "
            f"between, or the machine was set up anew: find out which. Only then: `ssh-keygen -f {known} -R '{name}'`, "
            f"and add what `{scan}` prints"
        )
    if "Host key verification failed" in said:
        return (
            f"its host key is unknown{shown}: compare what `{scan}` prints with the machine's own key, "
            f"then add it to {known}"
        )
    if "bad permissions" in said or "UNPROTECTED PRIVATE KEY" in said:
        return f"ssh does not use {spec.identity_file}, which others may read: chmod 600 it"
    if "Permission denied (" in said:
        key = visible(spec.identity_file or "any key of the user that runs sandod, or of its ssh-agent")
        return f"does not let {source.user} in with {key}: append the public key to ~{source.user}/.ssh/authorized_keys there"
    return ""
