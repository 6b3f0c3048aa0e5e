"""A store that is gone is no first start: where releases stand, an empty one would forget what runs on the nodes."""

from pathlib import Path

from sando.model.errors import SandoError
from sando.model.names import is_version
from sando.model.release import MANIFEST
from sando.model.topology import DaemonSpec

_SHOWN = 3


def refuse_lost(daemon: DaemonSpec) -> None:
    """SandoError where there is no store, or an empty file, beside releases that some store must have known."""
    store = Path(daemon.db_path)
    if store.exists() and store.stat().st_size:
        return
    known = _releases(Path(daemon.release_root))
    if not known:
        return
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    raise SandoError(
        f"{store}: {'is empty' if store.exists() else 'is gone'}, and {daemon.release_root} has releases ({shown}); "
        "put back the last copy that `sandod backup` made, or, to begin anew, move those releases away"
    )


def _releases(root: Path) -> list[str]:
    found = root.iterdir() if root.is_dir() else ()
    return sorted(p.name for p in found if is_version(p.name) and (p / MANIFEST).is_file())
