"""The gate `boot_smoke` on the build tier: start the release as a node would, and see whether it serves and ends."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.release import MANIFEST, Manifest, read_manifest
from sando.model.topology import GateSpec
from sando.work.boot import boot
from sando.work.build import build_env
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext
from sando.work.scratch import opening
from sando.work.scratch.job import Job

_TIMEOUT_S = 30.0


def boot_smoke(context: GateContext, cancel: CancelToken) -> Verdict:
    manifest = _manifest(context)
    with _rehearsed(context, cancel) as env:
        return boot_release(context, context.spec, manifest, context.release, env, cancel)


def boot_release(
    context: GateContext,
    spec: GateSpec,
    manifest: Manifest,
    folder: str,
    env: Mapping[str, str],
    cancel: CancelToken,
) -> Verdict:
    """Boot what lies in `folder` with the keys of `spec`, as it was built to be started, whatever the config says by now."""
    shop = context.shop
    command = manifest.run or shop.spec.start_command()
    return boot(
        (*shop.spec.runner, *command, *spec.args),
        cwd=folder,
        env=build_env(shop, manifest.sha, {**env, **spec.env}),
        probe=spec.probe,
        settle_s=spec.settle_s,
        timeout_s=spec.timeout_s or _TIMEOUT_S,
        log=context.log,
        starter=shop.keepers,
        cancel=cancel,
        step=spec.name,
    )


@contextmanager
def _rehearsed(context: GateContext, cancel: CancelToken) -> Iterator[Mapping[str, str]]:
    """DATABASE_URL of the scratch database, while it holds the rehearsal of this very version."""
    if not opening.is_rehearsed(context.where, context.version, context.sha):
        yield {}
        return
    job = Job.begin(context.spec.name, context.shop.keepers, context.log, cancel, context.timeout_s)
    with opening.kept(context.where, context.version, context.sha, job) as scratch:
        if scratch:
            context.log.say(f"{context.spec.name}: DATABASE_URL is the scratch database, as rehearsed")
        yield {"DATABASE_URL": scratch.url} if scratch else {}


def _manifest(context: GateContext) -> Manifest:
    path = Path(context.release, MANIFEST)
    try:
        return read_manifest(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise WorkError(
            context.spec.name, f"cannot read {path}: {error}; build it again", errored=True
        ) from error
