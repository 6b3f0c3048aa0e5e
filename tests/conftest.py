"""What holds for all tests."""

import pytest


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
