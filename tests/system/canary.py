"""Secrets that can be found again in whatever form they come out: plain, in JSON, in a URL, in hexadecimal, in base64."""

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

MARK = f"canary{secrets.token_hex(6)}"
"""At the start of each; letters and digits look the same in a URL and in JSON."""
ENVIRONMENT = f"{MARK}-environment"
"""What every sandod of a test has in its own environment."""
HOLDERS = {"daemon.toml", "hook-token", "id_ed25519"}
"""Files that are there to hold one."""


def forms(secret: str) -> set[bytes]:
    raw = secret.encode()
    found = {
        raw,
        quote(secret, safe="").encode(),
        json.dumps(secret)[1:-1].encode(),
        repr(secret)[1:-1].encode(),
    }
    found |= {raw.hex().encode(), raw.hex().upper().encode()}
    for start in range(3):  # wherever it begins within three bytes
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"x" * start + raw).rstrip(b"=")
            found.add(whole[4 if start else 0 : len(whole) - 2])
    return found


class Canaries:
    """Names and values; `where` names those that are in what it is given."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._forms = {name: forms(value) for name, value in values.items()}

    def where(self, data: bytes) -> list[str]:
        return sorted(name for name, wanted in self._forms.items() if any(form in data for form in wanted))


def files(folder: Path) -> Iterable[Path]:
    """Every file that may tell one, those without permissions and those in hidden folders too."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in HOLDERS:
            yield path


def hook_tokens(folder: Path) -> dict[str, str]:
    """Those that the sandods below this folder have made."""
    return {str(path): path.read_text().strip() for path in folder.rglob("hook-token")}


def told_by_files(folder: Path, canaries: Canaries) -> list[str]:
    return [f"{path}: {names}" for path in files(folder) if (names := canaries.where(path.read_bytes()))]
