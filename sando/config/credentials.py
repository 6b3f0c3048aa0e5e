"""Paths to secrets: as they stand, or `${CREDENTIALS_DIRECTORY}/NAME` for what systemd hands over (LoadCredential=).

Nothing else is ever expanded in a config file, and a secret's content is read by whoever uses it, not here.
"""

import os
import re

from sando.config.values import Bad, folder, shown, text

VARIABLE = "CREDENTIALS_DIRECTORY"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def secret_file(value: object) -> str:
    """An absolute path. What begins with a variable must be a credential of this very service."""
    path = text(value)
    if not path.startswith("$"):
        return folder(path)
    name = path.removeprefix(f"${{{VARIABLE}}}/")
    if name == path or not _NAME.fullmatch(name):
        raise Bad(f"is {shown(path)}; only ${{{VARIABLE}}}/NAME is expanded, else write the absolute path")
    where = os.environ.get(VARIABLE, "")
    if not where.startswith("/"):
        raise Bad(
            f"names a credential, and {VARIABLE} is not set: systemd sets it for a unit with "
            f"LoadCredential={name}:/etc/sando/credentials/{name}; to check by hand, set it to that folder"
        )
    return folder(f"{where}/{name}")
