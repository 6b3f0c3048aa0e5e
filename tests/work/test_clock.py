"""A node whose clock is wrong is told of before anything is sent, and nothing goes by that clock."""

import pytest

from sando.model.task import Step
from tests.work import sshds
from tests.work.nodes import Shop, write_release
from tests.work.sshds import RUN, on_path, tools

sshd = sshds.sshd


@pytest.mark.parametrize("years, said", [(-9, "behind"), (9, "ahead of")])
def test_a_clock_that_is_years_off_is_told_and_does_no_harm(tmp_path, sshd, years, said):
    path = tools(tmp_path / "tools", without=("date",))
    (path / "date").write_text(f"#!/bin/sh\necho $(($(/bin/date +%s) + {years} * 31536000))\n")
    (path / "date").chmod(0o755)
    shop = Shop(tmp_path, sshd=sshd("127.0.0.6", shell=on_path(path, RUN)))
    write_release(shop.store, "1.0")
    assert said in shop.do(Step.PREFLIGHT).detail
    shop.deploy("1.0")
    assert shop.names() == "releases/1.0"
    assert f"{said} " in shop.log
    shop.link.close()
