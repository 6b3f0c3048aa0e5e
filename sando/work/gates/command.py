"""The gate `command`: any command in the checkout, whole or in shards that run at once."""

import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from sando.model.errors import Cancelled, WorkError
from sando.model.gates import Verdict
from sando.model.topology import Command
from sando.work.cancel import CancelToken
from sando.work.gates.context import GateContext, ensure_checkout, run_command
from sando.work.log import SHARD, OpLog, read_log


def command(context: GateContext, cancel: CancelToken) -> Verdict:
    if not context.spec.command:
        raise WorkError(context.spec.name, f"tier {context.tier}: this gate has no `command`", errored=True)
    ensure_checkout(context, cancel)
    if context.spec.shards <= 1:
        return run_command(context, context.spec.command, cancel)
    return _Shards(context, context.spec.command).run(cancel)


class _Shards:
    """The same command n times at once. The first red one stops the others; their output follows in order."""

    def __init__(self, context: GateContext, command: Command) -> None:
        self._context = context
        self._command = command
        self._count = context.spec.shards
        self._stop = CancelToken()
        self._logs = [OpLog(f"{context.log.path}{SHARD}{n}", context.log.cap) for n in range(self._count)]

    def run(self, cancel: CancelToken) -> Verdict:
        for log in self._logs:
            log.path.unlink(missing_ok=True)
        drop = cancel.on_cancel(self._stop.cancel)
        try:
            with ThreadPoolExecutor(self._count, "shard") as pool:
                shards = [pool.submit(self._one, number) for number in range(self._count)]
                first_red = self._until_red(shards)
        finally:
            drop()
            self._gather_logs()
        cancel.check()
        if first_red is None:
            return Verdict(passed=True, message=f"all {self._count} shards passed")
        return self._judge(shards.index(first_red), first_red)

    def _until_red(self, shards: Sequence[Future[Verdict]]) -> Future[Verdict] | None:
        """The first shard that did not pass; the others are told to stop."""
        waiting, first_red = set(shards), None
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            red = [shard for shard in shards if shard in done and not _passed(shard)]
            if red and first_red is None:
                first_red = next((s for s in red if not isinstance(s.exception(), Cancelled)), red[0])
                self._stop.cancel()
        return first_red

    def _one(self, number: int) -> Verdict:
        more = {"SHARD_INDEX": str(number), "SHARD_COUNT": str(self._count)}
        return run_command(self._context, self._command, self._stop, self._logs[number], more)

    def _judge(self, number: int, shard: Future[Verdict]) -> Verdict:
        name = f"shard {number} of {self._count}"
        try:
            verdict = shard.result()
        except WorkError as error:
            raise WorkError(
                error.step, f"{name}: {error.detail}", errored=error.errored, tail=error.tail
            ) from error
        return Verdict(
            passed=False, message=f"{name}: {verdict.message}", facts={**verdict.facts, "shard": number}
        )

    def _gather_logs(self) -> None:
        for number, log in enumerate(self._logs):
            self._context.log.say(f"shard {number} of {self._count}")
            _append(self._context.log, log.path)
            log.path.unlink(missing_ok=True)
        self._context.log.trim()


def _passed(shard: Future[Verdict]) -> bool:
    return shard.exception() is None and shard.result().passed


def _append(log: OpLog, path: Path) -> None:
    """Copy a shard's output to the end of the gate's log; a full disk loses output, never the verdict."""
    try:
        out = log.open()
    except OSError:
        return
    try:
        data, offset = read_log(path, 0)
        while data:
            os.write(out, data)
            data, offset = read_log(path, offset)
    except OSError:
        return
    finally:
        os.close(out)
