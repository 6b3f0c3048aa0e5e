"""`sando` in this process, before a daemon that does as it is told."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from sando.cli import main
from tests.client.puppet import Puppet


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.out)


Run = Callable[..., Ran]
PLAIN = (
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "SANDO_TOKEN",
    "SANDO_CONFIG",
    "_SANDO_COMPLETE",
)


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    made = Puppet().start()
    yield made
    made.stop()


@pytest.fixture
def run(
    puppet: Puppet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """`run("status", "--json")`: the exit code and both outputs."""
    for name in PLAIN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SANDO_DAEMON", puppet.url)

    def ran(*words: str) -> Ran:
        capsys.readouterr()
        code = main(list(words))
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return ran
