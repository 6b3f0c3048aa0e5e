"""What holds for all tests: how they are counted, and which worker gets them."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/test_install.py",
    "tests/system/test_cli.py",
    "tests/system/test_cli_terminal.py",
    "tests/system/test_completion.py",
    "tests/system/test_dashboards.py",
    "tests/system/test_quickstart.py",
    "tests/system/test_tui_terminal.py",
}
"""Files whose tests share what is long in the making, or want the same port: one worker begins with each of them."""


class Sharing(LoadScopeScheduling):
    """All other tests go, one by one, to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing | None:
    """For `--dist loadscope`. xdist's own groups are none with pytest 9.2: it marks them in a name that pytest has left."""
    return Sharing(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("campaign"):
        item.add_marker("no_cover")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker pytest-cov begins to count as if it were alone, and then as a worker: `no_cover` would end one of them."""
    counting = session.config.pluginmanager.getplugin("_cov")
    if (
        hasattr(session.config, "workerinput")
        and counting is not None
        and counting.cov_controller is not None
    ):
        counting.cov_controller.cov.stop()
