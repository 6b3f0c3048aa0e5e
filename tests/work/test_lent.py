"""A way to a node that is let go of while jobs are at work on it."""

from sando.work.cancel import CancelToken
from sando.work.hosts.lent import LentLink


class Way:
    """A link that counts how often it was closed."""

    def __init__(self):
        self.closed = 0

    def host(self, cancel):
        return self, cancel

    def close(self):
        self.closed += 1


def test_who_lets_go_of_an_idle_way_closes_it_at_once():
    way = Way()
    link, token = LentLink(way), CancelToken()
    with link.lend(token) as host:
        assert host == (way, token)
    assert way.closed == 0, "it is kept for the next job"
    link.close()
    assert way.closed == 1


def test_the_last_job_at_work_closes_what_was_let_go_of():
    way = Way()
    link = LentLink(way)
    with link.lend(CancelToken()):
        with link.lend(CancelToken()):
            link.close()
            assert way.closed == 0
        assert way.closed == 0
    assert way.closed == 1


def test_a_job_that_begins_on_it_later_leaves_nothing_open():
    way = Way()
    link = LentLink(way)
    link.close()
    with link.lend(CancelToken()):
        assert way.closed == 1
    assert way.closed == 2
