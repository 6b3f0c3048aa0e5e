"""Whom a contained command runs as, where that is not sandod's own user; it changes nobody's rights by itself."""

import os
import pwd
from typing import NamedTuple


class Account(NamedTuple):
    """The names are those that `subprocess.Popen` takes. Only root can become somebody else."""

    user: int
    group: int
    extra_groups: tuple[int, ...] = ()


def account_of(name: str) -> Account | None:
    """The account of that name; None when the machine has none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(found.pw_uid, found.pw_gid, tuple(os.getgrouplist(name, found.pw_gid)))
