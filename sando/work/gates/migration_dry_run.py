"""The gate `migration_dry_run`: are there migrations at all? It never calls one rehearsed that was not."""

import os
from pathlib import Path

from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext, ensure_checkout


def migration_dry_run(context: GateContext, cancel: CancelToken) -> Verdict:
    spec, shop = context.spec, context.shop
    ensure_checkout(context, cancel)
    folders = (Path(context.release, spec.dir), Path(shop.checkout, shop.spec.dir, spec.dir))
    if spec.command is None and not any(_has_migrations(folder) for folder in folders):
        return Verdict(passed=True, message="no migrations in this checkout")
    raise WorkError(
        spec.name,
        "the rehearsal of migrations on a restored backup is not built in yet: remove this gate from "
        f"tier {context.tier}, or rehearse them with a gate of kind `command`",
        errored=True,
    )


def _has_migrations(folder: Path) -> bool:
    return any(name.endswith(".sql") for _, _, files in os.walk(folder) for name in files)
