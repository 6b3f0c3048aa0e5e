"""Could one go back? Starts the versions that run now on the new schema; what is wrong with them is no verdict on it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.names import is_version
from sando.model.release import MANIFEST, Manifest, read_manifest
from sando.model.topology import GateSpec
from sando.work.cancel import CancelToken
from sando.work.gates.boot_smoke import boot_release
from sando.work.gates.context import GateContext


class Former:
    """The versions of later tiers, each tried before the migrations and after them with boot_smoke's own keys."""

    def __init__(self, context: GateContext, url: str, cancel: CancelToken) -> None:
        self._context = context
        self._url = url
        self._cancel = cancel
        self._versions = tuple(dict.fromkeys(v for v in context.running if v != context.version))
        self._unknown: dict[str, str] = {}
        """Version to why nothing can be said of it."""
        if why := self._no_trial():
            self._unknown = dict.fromkeys(self._versions, why)

    def before(self) -> None:
        """One that does not start on the schema that it runs on says nothing about the new one."""
        for version in self._left():
            verdict = self._try(version, "the restored backup")
            if verdict and not verdict.passed:
                self._unknown[version] = f"it does not start on the restored backup either: {verdict.message}"

    def after(self, *, changed: bool) -> dict[str, str]:
        """`rollback_safe`: yes, no or unknown by version. `changed`: there were migrations, and `before` was called."""
        known = {}
        for version in self._left():
            verdict = self._try(version, "the new schema")
            if verdict:
                known[version] = self._judge(version, verdict, changed=changed)
        for version, why in self._unknown.items():
            self._say(f"{version}: unknown whether one can go back to it: {why}")
        return {version: known.get(version, "unknown") for version in self._versions}

    def _left(self) -> list[str]:
        return [version for version in self._versions if version not in self._unknown]

    def _no_trial(self) -> str:
        spec = self._context.boot
        if spec is None:
            return "the tier has no boot_smoke gate to start it with"
        if "DATABASE_URL" in spec.env:
            return "boot_smoke has a DATABASE_URL of its own in env"
        return ""

    def _judge(self, version: str, verdict: Verdict, *, changed: bool) -> str:
        if not verdict.passed:
            if changed:
                self._say(f"{version} does not start on the new schema: one cannot go back to it")
                return "no"
            self._unknown[version] = f"it does not start on the schema that it runs on: {verdict.message}"
            return "unknown"
        self._say(f"{version} starts on the new schema: one can go back to it")
        if self._boot.probe is None:
            self._say("boot_smoke has no probe, so all that is known is that it started and stayed")
        return "yes"

    def _try(self, version: str, on: str) -> Verdict | None:
        """None, and a reason in `_unknown`, where it could not be started at all."""
        manifest = self._manifest(version)
        if manifest is None:
            self._unknown[version] = "it is not in the release store"
            return None
        folder = str(Path(self._context.release).with_name(version))
        self._say(f"start {version} on {on}")
        try:
            return boot_release(self._context, self._boot, manifest, folder, self._env, self._cancel)
        except WorkError as error:
            self._unknown[version] = error.detail
            return None

    def _manifest(self, version: str) -> Manifest | None:
        if not is_version(version):
            return None
        try:
            return read_manifest((Path(self._context.release).with_name(version) / MANIFEST).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    @property
    def _boot(self) -> GateSpec:
        assert self._context.boot
        return self._context.boot

    @property
    def _env(self) -> Mapping[str, str]:
        return {"DATABASE_URL": self._url}

    def _say(self, text: str) -> None:
        self._context.log.say(f"{self._context.spec.name}: {text}")
