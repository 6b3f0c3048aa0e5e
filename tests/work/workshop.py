"""A workshop with a real repository behind it, for the tests of build and gates."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sando.model.backup import LastGood
from sando.model.gates import Verdict
from sando.model.release import Release
from sando.model.topology import BackupSpec, BuildSpec, GateSpec
from sando.work.build import Order, Workshop, build
from sando.work.cancel import CancelToken
from sando.work.gates.table import GateContext, run_gate
from sando.work.git import ensure_bare, tip
from sando.work.log import OpLog
from sando.work.process import Keepers
from sando.work.scratch.opening import Where
from tests.work.pushing import Clone

PUSHED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SHELL = BuildSpec(
    dir=".", command="mkdir -p out && cp src out/server && chmod +x out/server", artifact="out/server", version_from="VERSION"
)  # fmt: skip


@dataclass
class Bench:
    shop: Workshop
    clone: Clone
    folder: Path
    operation: int = 41
    scratch: Path | None = None

    @classmethod
    def make(cls, folder: Path, keepers: Keepers, spec: BuildSpec = SHELL) -> "Bench":
        bare = folder / "bare.git"
        ensure_bare(str(bare), "main")
        clone = Clone(folder / "clone", bare)
        clone.write(src="#!/bin/sh\nexec sleep 60\n", VERSION="0.8.2\n", **{".gitignore": "out/\n"})
        shop = Workshop(str(bare), "main", str(folder / "work"), str(folder / "releases"), spec, keepers)
        return cls(shop, clone, folder)

    def spec(self, **changes: object) -> None:
        parts = {f: getattr(self.shop.spec, f) for f in BuildSpec.__struct_fields__}
        self.shop = replace(self.shop, spec=BuildSpec(**parts | changes))

    def push(self, **texts: str) -> str:
        self.clone.write(**texts)
        sha = self.clone.commit()
        self.clone.push("+main")
        return sha

    @property
    def log(self) -> OpLog:
        return OpLog(Path(self.shop.logs, f"{self.operation}.log"))

    @property
    def store(self) -> Path:
        return Path(self.shop.release_root)

    def build(self, taken: dict[str, str] | None = None, cancel: CancelToken | None = None) -> Release:
        self.operation += 1
        commit = tip(self.shop.bare, "main")
        order = Order(self.operation, commit, PUSHED, taken or {})
        return build(self.shop, order, self.log, cancel or CancelToken())

    def gate(
        self,
        release: Release,
        kind: str,
        cancel: CancelToken | None = None,
        backup: BackupSpec | None = None,
        fetched: LastGood | None = None,
        url: str | None = None,
        running: tuple[str, ...] = (),
        boot: GateSpec | None = None,
        **keys: object,
    ) -> Verdict:
        spec = GateSpec(kind=kind, name=keys.pop("name", kind), **keys)
        where = Where(self.scratch or Path(self.shop.workdir, "scratch"), url)
        context = GateContext(
            spec, "mm", release.version, release.sha, self.operation, str(self.store / release.version), self.shop, self.log, backup,
            where, running, first_release=not running, fetched=fetched, boot=boot,
        )  # fmt: skip
        return run_gate(context, cancel or CancelToken())
