"""The gate `boot_smoke` on the build tier: start the release as a node would, and see whether it serves and ends."""

from pathlib import Path

import msgspec

from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.release import MANIFEST, read_manifest
from sando.work.boot import boot
from sando.work.build import build_env
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext

_TIMEOUT_S = 30.0


def boot_smoke(context: GateContext, cancel: CancelToken) -> Verdict:
    spec, shop = context.spec, context.shop
    return boot(
        (*shop.spec.runner, *_start_command(context), *spec.args),
        cwd=context.release,
        env=build_env(shop, context.sha, spec.env),
        probe=spec.probe,
        settle_s=spec.settle_s,
        timeout_s=spec.timeout_s or _TIMEOUT_S,
        log=context.log,
        starter=shop.keepers,
        cancel=cancel,
        step=spec.name,
    )


def _start_command(context: GateContext) -> tuple[str, ...]:
    """As the release was built to be started, whatever the config says by now."""
    path = Path(context.release, MANIFEST)
    try:
        return read_manifest(path.read_bytes()).run or context.shop.spec.start_command()
    except (OSError, msgspec.DecodeError) as error:
        raise WorkError(
            context.spec.name, f"cannot read {path}: {error}; build it again", errored=True
        ) from error
