"""Contained processes, with real trees: whatever a build does, nothing of it outlives its end."""

import grp
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.work.account import account_of
from sando.work.cancel import CancelToken
from sando.work.log import OpLog, read_log
from sando.work.process import Exit, Keepers, clean_env, command_argv
from tests.work.nodes import AT_ONCE_S
from tests.work.wild import RABBIT, WILD, Mark, until, zombies_below

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def keepers():
    keepers = Keepers.start()
    yield keepers
    keepers.close()


class Job:
    """One command with its own mark, log and token."""

    def __init__(self, keepers, folder):
        self.keepers, self.folder = keepers, folder
        self.mark, self.cancel = Mark(), CancelToken()
        self.log = OpLog(folder / "1.log")

    def run(self, *argv, **options):
        options = {"timeout": 60, "grace": 0.2, "cwd": self.folder, "env": self.mark.env} | options
        return self.keepers.run(argv, log=self.log, cancel=self.cancel, step="build", **options)

    def spawn(self, *argv):
        return self.keepers.spawn(argv, cwd=self.folder, env=self.mark.env, log=self.log, step="smoke")

    def in_thread(self, *argv, **options):
        pool = ThreadPoolExecutor(1)
        future = pool.submit(self.run, *argv, **options)
        pool.shutdown(wait=False)
        return future

    def output(self):
        return self.log.path.read_text() if self.log.path.exists() else ""

    def ready(self):
        until(lambda: "ready\n" in self.output())


@pytest.fixture
def job(keepers, tmp_path):
    job = Job(keepers, tmp_path)
    yield job
    assert job.mark.alive() == []
    until(lambda: not zombies_below(keepers._spawner.pid))


def test_a_command_runs_in_its_folder_with_its_output_in_the_log(job):
    ended = job.run("sh", "-c", "pwd; echo problem >&2")
    assert (ended, str(ended), ended.ok) == (Exit(0, None), "exit status 0", True)
    assert job.output() == f"{job.folder}\nproblem\n"


def test_a_command_that_says_no_gives_its_status(job):
    ended = job.run("sh", "-c", "exit 3")
    assert (ended.code, ended.ok, str(ended)) == (3, False, "exit status 3")


def test_a_command_killed_from_outside_says_which_signal_and_that_it_was_not_ours(job):
    ended = job.run("sh", "-c", "kill -9 $$")
    assert (ended.code, ended.signal) == (None, signal.SIGKILL)
    assert str(ended) == "killed by SIGKILL (nobody here sent it: out of memory?)"
    assert str(job.run("sh", "-c", "kill -SEGV $$")) == "killed by SIGSEGV"


def test_stdin_is_closed_and_the_session_umask_and_descriptors_are_its_own(job):
    script = 'cat; umask; ls /proc/self/fd | wc -l; test "$(ps -o sid= -p $$ | tr -d " ")" = $$ && echo own'
    job.run("sh", "-c", script)
    assert job.output().split() == ["0022", "4", "own"]


def test_signals_have_their_default_meaning_and_none_is_blocked(job):
    job.run("sh", "-c", "grep -E 'Sig(Ign|Blk)|ShdPnd' /proc/self/status")
    values = {line.split()[0]: int(line.split()[1], 16) for line in job.output().splitlines()}
    assert values["SigBlk:"] == values["SigIgn:"] == 0


def test_a_build_that_ignores_sigterm_and_leaves_its_session_is_gone_after_a_cancel(job):
    future = job.in_thread("sh", "-c", WILD + "sleep 300; sleep 300")
    job.ready()
    assert len(job.mark.alive()) >= 6
    job.cancel.cancel()
    with pytest.raises(Cancelled):
        future.result(20)
    assert job.mark.alive() == []


def test_a_build_that_ignores_sigterm_is_gone_after_its_timeout(job):
    with pytest.raises(WorkError, match=r"timed out after 1s") as caught:
        job.run("sh", "-c", WILD + "sleep 300; sleep 300", timeout=0.6)
    assert (caught.value.step, caught.value.errored) == ("build", False)
    assert "ready" in caught.value.tail
    assert job.mark.alive() == []


def test_a_silent_build_is_ended_and_told_apart_from_a_slow_one(job):
    script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done; sleep 300"
    with pytest.raises(WorkError, match="no output for") as caught:
        job.run("sh", "-c", script, idle_timeout=0.5)
    assert caught.value.tail.splitlines()[-1] == "6"


def test_what_a_build_leaves_behind_is_killed_and_named_in_the_log(job):
    ended = job.run("sh", "-c", WILD)
    assert ended.ok
    assert ended.left_behind >= 5
    assert f"sando: {ended.left_behind} processes left behind, killed: " in job.output()
    assert "sleep" in job.output().splitlines()[-1]
    assert job.mark.alive() == []


def test_a_reader_that_ends_shortly_after_the_leader_is_not_called_left_behind(job):
    ended = job.run("sh", "-c", "(sleep 0.1; echo late) & exit 0")
    assert ended == Exit(0, None)
    assert job.output() == "late\n"


def test_what_a_build_starts_while_it_ends_does_not_hold_it_for_all_of_its_grace(job):
    """It has not heard of the SIGTERM, which came before it: it is told when its leader is gone."""
    future = job.in_thread(
        "sh", "-c", "trap 'sleep 300 & exit 1' TERM; echo ready; sleep 300 & wait", grace=10
    )
    job.ready()
    begun = time.monotonic()
    job.cancel.cancel()
    with pytest.raises(Cancelled):
        future.result(20)
    assert time.monotonic() - begun < AT_ONCE_S


def test_a_build_that_ends_on_sigterm_is_given_the_time_to_do_so(job):
    future = job.in_thread(
        "sh", "-c", "trap 'echo cleaned; exit 1' TERM; echo ready; sleep 300 & wait", grace=10
    )
    job.ready()
    begun = time.monotonic()
    job.cancel.cancel()
    with pytest.raises(Cancelled):
        future.result(20)
    assert "cleaned" in job.output()
    assert time.monotonic() - begun < AT_ONCE_S


def test_a_stopped_process_hears_sigterm_too(job):
    running = job.spawn("sh", "-c", "trap 'echo cleaned; exit 1' TERM; echo ready; kill -STOP $$; sleep 300")
    job.ready()
    running.end(grace=10)
    assert "cleaned" in job.output()


def test_a_chain_of_forks_that_never_keeps_a_pid_is_caught(job):
    running = job.spawn(sys.executable, "-c", RABBIT)
    job.ready()
    running.end(grace=0)
    assert job.mark.alive() == []


def test_a_tree_that_grows_while_it_is_killed_is_caught(job):
    bomb = "b() { trap '' TERM; sleep 300 & [ $1 -gt 0 ] && { b $(($1-1)) & b $(($1-1)) & }; wait; }; echo ready; b 6"
    running = job.spawn("sh", "-c", bomb)
    job.ready()
    running.end(grace=0.05)
    assert job.mark.alive() == []


def test_a_hundred_aborts_leave_no_process(keepers, tmp_path):
    jobs = [Job(keepers, tmp_path / str(n)) for n in range(100)]
    for job in jobs:
        job.folder.mkdir()

    def abort(job):
        running = job.spawn("sh", "-c", "trap '' TERM; setsid sh -c 'sleep 300 & sleep 300' & sleep 300")
        return running.end(grace=0.01)

    with ThreadPoolExecutor(8) as pool:
        assert all(ended.signal for ended in pool.map(abort, jobs))
    assert [pid for job in jobs for pid in job.mark.alive()] == []
    until(lambda: not zombies_below(keepers._spawner.pid))


def test_a_cancelled_token_starts_nothing(job):
    job.cancel.cancel()
    with pytest.raises(Cancelled):
        job.run("touch", "here")
    assert not (job.folder / "here").exists()


def test_a_cancel_at_the_moment_of_the_start_is_not_lost(job):
    for _ in range(20):
        job.cancel = CancelToken()
        future = job.in_thread("sleep", "300")
        job.cancel.cancel()
        with pytest.raises(Cancelled):
            future.result(20)


@pytest.mark.parametrize(
    "argv, text",
    [
        (("no-such-tool", "x"), r"command not found: no-such-tool \(PATH is /"),
        (("./missing",), r"command not found: \./missing"),
        (("./plain",), r"not executable: \./plain"),
        (("./orphan",), r"interpreter"),
        (("./noise",), r"neither a program of this machine"),
        (("echo", "nul\0"), r"cannot start echo: .*null"),
        ((), r"cannot start \(an empty command\)"),
    ],
)
def test_a_command_that_cannot_be_started_says_why(job, argv, text):
    (job.folder / "plain").write_text("text")
    (job.folder / "orphan").write_text("#!/no/such/shell\n")
    (job.folder / "noise").write_bytes(b"\1\2\3")
    for name in ("orphan", "noise"):
        (job.folder / name).chmod(0o755)
    with pytest.raises(WorkError, match=text) as caught:
        job.run(*argv)
    assert (caught.value.step, caught.value.errored) == ("build", True)


def test_a_missing_folder_is_not_taken_for_a_missing_command(job):
    with pytest.raises(WorkError, match=r"cannot enter the folder .*/gone: No such file") as caught:
        job.run("true", cwd=job.folder / "gone")
    assert caught.value.errored
    (job.folder / "file").write_text("")
    with pytest.raises(WorkError, match="Not a directory"):
        job.run("true", cwd=job.folder / "file")


def test_a_log_that_cannot_be_opened_is_an_errored_step(job):
    (job.folder / "file").write_text("")
    job.log = OpLog(job.folder / "file" / "1.log")
    with pytest.raises(WorkError, match="cannot write") as caught:
        job.run("true")
    assert caught.value.errored


def test_an_environment_larger_than_a_socket_message_arrives_whole(job):
    big = {f"V{n}": "x" * 100_000 for n in range(8)}
    job.run("sh", "-c", "printf $V7 | wc -c", env=job.mark.env | big)
    assert job.output().strip() == "100000"


def test_fifty_commands_start_at_once_and_each_has_its_own_output(keepers, tmp_path):
    def run(number):
        job = Job(keepers, tmp_path / str(number))
        job.folder.mkdir()
        return job.run("sh", "-c", f"echo {number}; exit {number}").code, job.output().strip()

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(run, range(50))) == [(n, str(n)) for n in range(50)]


def test_thirty_megabytes_of_output_stay_within_the_cap_on_disk(job):
    job.log = OpLog(job.folder / "big.log", cap=4 * 2**20)
    job.run("sh", "-c", "echo first; yes 0123456789 | head -c 31457280; echo last")
    info = job.log.path.stat()
    assert info.st_size > 30 * 2**20
    assert info.st_blocks * 512 <= job.log.cap + 8192
    assert read_log(job.log.path, 0)[0].startswith(b"first\n")
    assert read_log(job.log.path, info.st_size - 5)[0] == b"last\n"


def test_a_spawned_command_is_polled_waited_for_and_ended(job):
    running = job.spawn("sleep", "300")
    until(lambda: Path(f"/proc/{running.pid}/comm").read_text() == "sleep\n")
    assert running.poll() is None
    assert running.wait(0.01) is None
    ended = running.end()
    assert (str(ended), ended.signal) == ("killed by SIGTERM", signal.SIGTERM)
    assert running.poll() == running.end() == ended


def test_a_spawned_command_may_be_ended_while_another_thread_waits_for_it(job):
    running = job.spawn("sleep", "300")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.wait, None)
        ended = running.end()
        assert waiting.result(10) == ended


def test_a_keeper_that_is_killed_takes_its_tree_along_and_the_step_is_errored(job):
    future = job.in_thread("sh", "-c", WILD + "sleep 300")
    job.ready()
    (running,) = job.keepers._running
    os.kill(running._keeper, signal.SIGKILL)
    with pytest.raises(WorkError, match="keeper was killed") as caught:
        future.result(20)
    assert caught.value.errored
    assert job.mark.alive() == []


def is_dead(pid):
    """Also where somebody has heard of its end already."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_spawner_that_is_killed_is_replaced_and_running_jobs_go_on(tmp_path):
    keepers = Keepers.start()
    old = Job(keepers, tmp_path)
    future = old.in_thread("sh", "-c", "echo ready; until [ -e go ]; do sleep 0.02; done")
    old.ready()
    os.kill(keepers._spawner.pid, signal.SIGKILL)
    until(lambda pid=keepers._spawner.pid: is_dead(pid))
    assert Job(keepers, tmp_path).run("true").ok
    (tmp_path / "go").write_text("")
    assert future.result(20).ok
    keepers.close()


def test_close_ends_all_that_runs_and_starts_nothing_afterwards(tmp_path):
    keepers = Keepers.start()
    job = Job(keepers, tmp_path)
    future = job.in_thread("sh", "-c", WILD + "sleep 300", grace=60)
    job.ready()
    spawner = keepers._spawner.pid
    keepers.close()
    assert job.mark.alive() == []
    assert not Path(f"/proc/{spawner}").exists()
    assert future.result(20).signal == signal.SIGKILL
    with pytest.raises(WorkError, match="stopping"):
        job.run("true")
    keepers.close()


def test_keepers_started_beside_threads_work_as_well(tmp_path):
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    keepers = Keepers.start()
    job = Job(keepers, tmp_path)
    ended = job.run("sh", "-c", WILD)
    assert ended.ok
    assert job.mark.alive() == []
    keepers.close()
    stop.set()
    thread.join()


DAEMON = """
import signal, sys, threading
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Keepers
signal.signal(signal.SIGHUP, signal.SIG_IGN)
keepers = Keepers.start()
def build(number):
    keepers.run(["sh", "-c", sys.argv[3]], cwd=sys.argv[1], env={"PATH": sys.argv[4], sys.argv[2]: "1"},
                log=OpLog(f"{sys.argv[1]}/{number}.log"), cancel=CancelToken(), step="build", timeout=300)
for number in range(3):
    threading.Thread(target=build, args=(number,)).start()
"""


def start_daemon(tmp_path, mark):
    argv = [
        sys.executable,
        "-c",
        DAEMON,
        str(tmp_path),
        mark.word,
        WILD + "sleep 300; sleep 300",
        mark.env["PATH"],
    ]
    daemon = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
    logs = [OpLog(tmp_path / f"{n}.log") for n in range(3)]
    until(lambda: all(b"ready" in read_log(log.path, 0)[0] for log in logs))
    assert len(mark.alive()) >= 18
    return daemon


def family(session):
    """The spawner and keepers of a daemon: they have its command line, which names the mark."""
    return [p for p in Path("/proc").iterdir() if p.name.isdigit() and session.word.encode() in cmdline(p)]


def cmdline(folder):
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_daemon_that_is_killed_leaves_nothing_of_its_builds(tmp_path):
    mark = Mark()
    daemon = start_daemon(tmp_path, mark)
    daemon.kill()
    daemon.wait(10)
    until(lambda: not mark.alive() and not family(mark), 40)


def test_what_a_terminal_sends_to_the_daemon_s_group_reaches_no_build(tmp_path):
    mark = Mark()
    daemon = start_daemon(tmp_path, mark)
    before = set(mark.alive())
    os.killpg(daemon.pid, signal.SIGHUP)
    assert set(mark.alive()) == before
    os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait(10)
    until(lambda: not mark.alive() and not family(mark), 40)


def test_the_environment_of_commands_is_an_allow_list():
    base = {
        "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "SSL_CERT_FILE": "/c", "https_proxy": "p", "NO_PROXY": "n",
        "CARGO_HOME": "/c", "GIT_DIR": "x", "PGPASSWORD": "x", "NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1",
        "LISTEN_FDS": "1", "CREDENTIALS_DIRECTORY": "x", "SANDO_TOKEN": "x", "AWS_SECRET": "x", "SSH_AUTH_SOCK": "x",
        "LD_PRELOAD": "x", "PYTHONPATH": "x",
    }  # fmt: skip
    kept = clean_env({"GIT_DIR": "wanted"}, base)
    assert set(kept) == {
        "PATH",
        "HOME",
        "LC_ALL",
        "SSL_CERT_FILE",
        "https_proxy",
        "NO_PROXY",
        "CARGO_HOME",
        "GIT_DIR",
    }
    assert kept["GIT_DIR"] == "wanted"
    assert clean_env(base={})["PATH"]


def test_a_command_sees_nothing_of_the_daemon_but_what_it_was_given(job, monkeypatch):
    monkeypatch.setenv("SANDO_TOKEN", "secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    job.run("env", env=clean_env({job.mark.word: "1"}))
    assert "secret" not in job.output()
    assert "PATH=" in job.output()


def test_a_string_is_a_command_of_the_shell_and_a_tuple_is_not():
    assert command_argv("make && true") == ("sh", "-c", "make && true")
    assert command_argv(("make", "all")) == ("make", "all")


def test_a_command_reads_what_it_is_given_and_the_descriptor_stays_the_caller_s(job, tmp_path):
    (tmp_path / "words").write_text("read me\n")
    with (tmp_path / "words").open() as words:
        running = job.keepers.spawn(
            ["cat"], cwd=tmp_path, env=job.mark.env, log=job.log, step="feed", stdin=words.fileno()
        )
        assert running.wait(10).ok
        assert words.read() == ""  # one offset, which is at the end now
    assert job.output() == "read me\n"


def test_who_feeds_a_command_hears_that_it_has_ended(job, tmp_path):
    read, write = os.pipe()
    running = job.keepers.spawn(
        ["true"], cwd=tmp_path, env=job.mark.env, log=job.log, step="feed", stdin=read
    )
    os.close(read)
    assert running.wait(10).ok
    with pytest.raises(BrokenPipeError):
        os.write(write, b"too late")
    os.close(write)


def test_a_command_runs_as_the_account_and_in_no_group_of_the_daemon(job, tmp_path):
    account = account_of("nobody") if os.geteuid() == 0 else None  # only root can become somebody else
    running = job.keepers.spawn(
        ["id", "-Gn"], cwd="/", env=job.mark.env, log=job.log, step="as", account=account
    )
    assert running.wait(10).ok
    group = grp.getgrgid(account.group if account else os.getegid()).gr_name
    assert job.output().split()[0] == group
    assert account is None or len(job.output().split()) == len({account.group, *account.extra_groups})


def test_a_folder_is_reached_by_a_descriptor_whoever_may_enter_those_above(job, tmp_path):
    closed = tmp_path / "closed" / "folder"
    closed.mkdir(parents=True)
    (closed / "file").write_text("inside\n")
    (tmp_path / "closed").chmod(0o700)
    account = account_of("nobody") if os.geteuid() == 0 else None
    options = {"cwd": "/", "env": job.mark.env, "log": job.log, "step": "as", "account": account}
    running = job.keepers.spawn(["cat", "{folder}/file"], folder=closed, **options)
    assert running.wait(10).ok
    assert job.output() == "inside\n"
    if account:
        assert not job.keepers.spawn(["cat", str(closed / "file")], **options).wait(10).ok


def test_the_folder_stands_in_the_environment_too(job, tmp_path):
    (tmp_path / "file").write_text("inside\n")
    env = {**job.mark.env, "WHERE": "{folder}/file"}
    options = {"cwd": "/", "env": env, "log": job.log, "step": "as", "folder": tmp_path}
    assert job.keepers.spawn(["sh", "-c", 'cat "$WHERE"'], **options).wait(10).ok
    assert job.output() == "inside\n"


def test_a_command_that_is_alone_can_start_no_process(job):
    account = account_of("nobody") if os.geteuid() == 0 else None  # root is not held by the limit
    options = {"cwd": "/", "env": job.mark.env, "log": job.log, "step": "as", "account": account}
    assert job.keepers.spawn(["sh", "-c", "id -un; echo ran"], **options).wait(10).ok
    assert not job.keepers.spawn(["sh", "-c", "id -un; echo ran"], alone=True, **options).wait(10).ok
    assert job.output().count("ran") == 1


def test_a_folder_that_is_not_there_is_named(job, tmp_path):
    with pytest.raises(WorkError, match=r"cannot start true: .*gone") as caught:
        job.keepers.spawn(
            ["true"], cwd="/", env=job.mark.env, log=job.log, step="as", folder=tmp_path / "gone"
        )
    assert caught.value.errored


def test_an_account_that_the_machine_does_not_have_is_told():
    assert account_of("nobody-of-that-name") is None
