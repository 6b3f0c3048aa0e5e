"""Commands that are told of an event: real processes, contained, with the event on their stdin."""

import threading
from pathlib import Path

import pytest

from sando.model.errors import Undelivered
from sando.work import notice
from sando.work.notice import Notices
from sando.work.process import Keepers
from tests.api.room import until

BODY = b'{"type":"BuildFailed"}'


@pytest.fixture
def notices(keepers: Keepers, tmp_path: Path) -> Notices:
    return Notices(keepers, tmp_path / "notify")


def tell(notices: Notices, command, env=None, body: bytes = BODY) -> None:
    notices.attempt("script", command, body, env or {}).send()


def refused(notices: Notices, command) -> Undelivered:
    with pytest.raises(Undelivered) as found:
        tell(notices, command)
    return found.value


@pytest.mark.parametrize("command", ["cat >{out}", ("sh", "-c", "cat >{out}"), ("dd", "of={out}")])
def test_the_event_comes_on_stdin(notices, tmp_path, command):
    out = tmp_path / "heard"
    words = [command] if isinstance(command, str) else command
    filled = tuple(word.format(out=out) for word in words)
    tell(notices, filled[0] if isinstance(command, str) else filled)
    assert out.read_bytes() == BODY


def test_it_gets_its_own_names_and_nothing_of_the_daemons_environment(notices, tmp_path, monkeypatch):
    monkeypatch.setenv("SANDO_TOKEN", "secret")
    monkeypatch.setenv("DATABASE_URL", "secret")
    tell(notices, f"env >{tmp_path}/env", {"SANDO_EVENT_TYPE": "BuildFailed"})
    env = (tmp_path / "env").read_text()
    assert "SANDO_EVENT_TYPE=BuildFailed" in env
    assert "secret" not in env


def test_what_it_says_is_in_a_log_of_its_own(notices, tmp_path):
    assert refused(notices, "echo said; echo complained >&2; exit 3").args == (
        f"the command ended with exit status 3; {tmp_path}/notify/script.log has what it said",
    )
    assert (tmp_path / "notify" / "script.log").read_text() == "said\ncomplained\n"


def test_exit_status_65_says_that_this_event_will_never_be_taken(notices):
    assert refused(notices, "exit 65").never
    assert not refused(notices, "exit 1").never


def test_what_it_leaves_behind_is_ended(notices, tmp_path):
    tell(
        notices,
        f"setsid sh -c 'echo $$ >{tmp_path}/pid; exec sleep 600' & until [ -s {tmp_path}/pid ]; do :; done",
    )
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_it_has_a_deadline(notices, monkeypatch):
    monkeypatch.setattr(notice, "DEADLINE_S", 0.3)
    assert "the command did not end within" in str(refused(notices, "exec sleep 600"))


def test_another_thread_can_break_it_off_with_all_that_it_started(notices, tmp_path):
    attempt = notices.attempt("script", f"sleep 600 & echo $! >{tmp_path}/pid; wait", BODY, {})
    found: list[Undelivered] = []

    def send() -> None:
        with pytest.raises(Undelivered) as error:
            attempt.send()
        found.append(error.value)

    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    attempt.abort()
    thread.join(20)
    assert found
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.parametrize("command", [("/no/such/program", "--token=abc"), ("/", "--token=abc")])
def test_a_program_that_is_not_there_is_told_without_its_words(notices, command):
    error = refused(notices, command)
    assert "--token" not in str(error)
    assert not error.never


def test_the_event_is_readable_by_its_own_user_only(notices, tmp_path):
    tell(notices, ("true",))
    assert (tmp_path / "notify" / "script.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "notify").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_is_told(keepers, tmp_path):
    (tmp_path / "notify").write_text("a file")
    assert "cannot be written" in str(refused(Notices(keepers, tmp_path / "notify"), ("true",)))
