import json
import os
import shutil
import socket
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sando.model.errors import WorkError
from sando.work import hook
from tests.work.nodes import AT_ONCE_S
from tests.work.pushing import Clone, git

SHA = "1a2b3c4" + "0" * 33
HOSTILE = r"""a " and a ' and \\ \" \\n \\\\ $(touch x) `touch x`; touch x; %s%n * ~ "$HOME" /"""
STARTED = {
    "id": 42,
    "kind": "build",
    "tier": "mm",
    "version": None,
    "sha": SHA,
    "reason": "",
    "status": "running",
}


class StandIn:
    """A daemon that gives the answer it was told to; `asked` has what came: method, path, headers, body."""

    def __init__(self) -> None:
        self.answers = {}
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _go(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                code, answer = outer.answers.get((self.command, self.path), (404, {"detail": "no such path"}))
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = _go  # noqa: N815  (the names that the server looks for)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def takes(self, code, answer):
        self.answers["POST", "/rebuild"] = (code, answer)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def daemon():
    standin = StandIn()
    standin.takes(202, STARTED)
    yield standin
    standin.close()


@pytest.fixture
def bare(tmp_path):
    path = tmp_path / "it's bare.git"
    git("init", "-q", "--bare", "-b", "main", "--template=", str(path), cwd=tmp_path)
    git("config", "receive.advertisePushOptions", "true", cwd=path)
    return path


@pytest.fixture
def clone(tmp_path, bare):
    made = Clone(tmp_path / "clone", bare)
    made.write(a="1")
    made.commit()
    return made


def said(output):
    """What the hook printed, as the pusher sees it."""
    lines = (
        line.removeprefix("remote: ").rstrip() for line in output.splitlines() if line.startswith("remote: ")
    )
    return [line for line in lines if line]


def tools(tmp_path, *names):
    """A PATH with only these programs and what git and sh need."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*names, "git", "sh", "head", "tr", "sed", "cat", "sleep"):
        # a shim of a version manager would look for more programs: take what it stands for
        real = os.path.realpath("/usr/bin/python3" if name == "python3" else shutil.which(name))
        (folder / name).symlink_to(real)
    return {"PATH": str(folder)}


def test_a_push_starts_a_build_and_says_so_in_one_line(bare, clone, daemon):
    assert hook.install(str(bare), url=daemon.url, branch="main") == "installed"
    assert said(clone.push()) == ["sando: build 42 of 1a2b3c4 started"]
    [(method, path, headers, body)] = daemon.asked
    assert (method, path, body) == ("POST", "/rebuild", b'{"moved": true}')
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers


@pytest.mark.parametrize(
    ("code", "answer", "line"),
    [
        (202, STARTED | {"id": 43, "status": "queued"}, "build 43 of 1a2b3c4 is queued; the build before it is being stopped"),
        (200, STARTED, "build 42 of 1a2b3c4 started"),
        (200, {"code": "already_built", "sha": SHA, "version": "0.8.2", "operation": 7}, "1a2b3c4 is built already (0.8.2)"),
        (200, {"code": "already_built", "sha": SHA}, "1a2b3c4 is built already"),
        (503, {"status": 503, "detail": 'the "store" is full: C:\\n', "code": "x"}, 'sandod did not take {new}: the "store" is full: C:\\n'),
        (503, {"detail": HOSTILE}, "sandod did not take {new}: " + HOSTILE),
        (503, {"detail": "first\nsecond\n"}, "sandod did not take {new}: first"),
        (503, {"detail": "a\ttab, a \x1b[2J"}, r"sandod did not take {new}: a tab, a \u001b[2J"),
        (409, b"<html>", "sandod did not take {new}: HTTP 409"),
        (401, {"detail": "no"}, "sandod refuses the hook (401); the push is safe, see "),
        (403, {"detail": "no"}, "sandod refuses the hook (403); the push is safe, see "),
        (200, b"\x00\x01\xff garbage { ]\n\nHTTP=nonsense\x1b[2J", "what answers at {url} is not sandod; the push is safe"),
        (200, b"", "what answers at {url} is not sandod; the push is safe"),
        (202, STARTED | {"reason": '"status": "x"', "sha": None}, "build 42 of {new} started"),
    ],
)  # fmt: skip
def test_every_answer_becomes_one_line_and_the_push_succeeds(bare, clone, daemon, code, answer, line):
    daemon.takes(code, answer)
    hook.install(str(bare), url=daemon.url, branch="main")
    new = clone.git("rev-parse", "HEAD")[:7]
    [shown] = said(clone.push())
    assert shown.startswith("sando: " + line.replace("{new}", new).replace("{url}", daemon.url))
    assert shown.endswith("; the push is safe, and is built as soon as sandod can") == (code == 503)
    assert not (bare / "x").exists()
    assert git("rev-parse", "main", cwd=bare)[:7] == new


def test_an_answer_without_end_does_not_delay_the_push(bare, clone, daemon):
    daemon.takes(200, b"x" * 50_000_000)
    hook.install(str(bare), url=daemon.url, branch="main")
    assert said(clone.push())[0].startswith("sando: ")


@pytest.mark.parametrize("fetcher", ["curl", "python3"])
def test_with_the_daemon_down_the_push_is_safe(bare, clone, tmp_path, fetcher):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        hook.install(str(bare), url=url, branch="main")
        start = time.monotonic()
        lines = said(clone.push(env=tools(tmp_path, fetcher)))
    assert lines == [
        f"sando: sandod does not answer at {url}; the push is safe, and is built as soon as sandod can"
    ]
    assert time.monotonic() - start < AT_ONCE_S


@pytest.mark.parametrize("fetcher", ["curl", "python3"])
def test_a_daemon_that_accepts_and_never_answers_delays_a_push_by_two_seconds_at_most(
    bare, clone, tmp_path, fetcher
):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hook.install(str(bare), url=f"http://127.0.0.1:{deaf.getsockname()[1]}", branch="main")
        env, took = tools(tmp_path, fetcher), 60.0
        for number in range(3):  # a busy machine may hold up any one of them
            clone.write(a=f"{number} again")
            clone.commit()
            start = time.monotonic()
            lines = said(clone.push(env=env))
            took = min(took, time.monotonic() - start)
            assert "does not answer" in lines[0]
            assert len(lines) == 1
            if took < 2.4:
                break
    assert took < 2.4


def test_a_daemon_that_trickles_is_cut_off_too(bare, clone, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as slow:
        stop = threading.Event()

        def trickle():
            link, _ = slow.accept()
            with link:
                link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not stop.wait(0.1):
                    try:
                        link.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        hook.install(str(bare), url=f"http://127.0.0.1:{slow.getsockname()[1]}", branch="main")
        start = time.monotonic()
        lines = said(clone.push(env=tools(tmp_path, "python3")))
        took = time.monotonic() - start
        stop.set()
        thread.join()
    assert len(lines) == 1
    assert took < AT_ONCE_S, "what it sends has no end"


def test_without_curl_python_does_the_same(bare, clone, daemon, tmp_path):
    hook.install(str(bare), url=daemon.url, branch="main", token="s3cret")
    assert said(clone.push(env=tools(tmp_path, "python3"))) == ["sando: build 42 of 1a2b3c4 started"]
    assert daemon.asked[0][2]["Authorization"] == "Bearer s3cret"
    assert daemon.asked[0][2]["Content-Type"] == "application/json"
    assert daemon.asked[0][3] == b'{"moved": true}'


def test_with_neither_curl_nor_python_it_says_so(bare, clone, daemon, tmp_path):
    hook.install(str(bare), url=daemon.url, branch="main")
    [line] = said(clone.push(env=tools(tmp_path)))
    assert line.startswith("sando: neither curl nor python3 is here")
    assert daemon.asked == []


def test_a_proxy_or_a_curlrc_of_the_pusher_changes_nothing(bare, clone, daemon, tmp_path):
    (tmp_path / ".curlrc").write_text("fail-early\nproxy = 127.0.0.1:1\n")
    hook.install(str(bare), url=daemon.url, branch="main")
    env = {"http_proxy": "http://127.0.0.1:1", "HOME": str(tmp_path), "CURL_HOME": str(tmp_path)}
    assert said(clone.push(env=env)) == ["sando: build 42 of 1a2b3c4 started"]


def test_only_the_branch_counts(bare, clone, daemon):
    hook.install(str(bare), url=daemon.url, branch="main")
    clone.git("tag", "main-1")
    assert (
        said(
            clone.push("main:refs/heads/maintenance", "main:refs/heads/x/main", "main-1", "main:refs/x/main")
        )
        == []
    )
    assert daemon.asked == []


def test_deleting_the_branch_builds_nothing(bare, clone, daemon):
    git("config", "receive.denyDeleteCurrent", "ignore", cwd=bare)
    clone.push()
    hook.install(str(bare), url=daemon.url, branch="main")
    assert said(clone.push(":main")) == []
    assert daemon.asked == []


def test_a_push_of_many_refs_builds_once(bare, clone, daemon):
    hook.install(str(bare), url=daemon.url, branch="main")
    clone.git("tag", "v1")
    assert len(said(clone.push("main:a", "main", "main:z", "v1"))) == 1
    assert len(daemon.asked) == 1


def test_a_branch_with_an_odd_name_is_compared_and_never_run(bare, clone, daemon):
    branch = "it's$(id>x)`id>x`;|--a"
    hook.install(str(bare), url=daemon.url, branch=branch)
    assert len(said(clone.push(f"main:refs/heads/{branch}"))) == 1
    assert not (bare / "x").exists()


def test_the_token_is_shown_to_the_daemon_and_to_nobody_else(bare, clone, daemon):
    hook.install(str(bare), url=daemon.url, branch="main", token="s3cret")
    clone.push()
    assert daemon.asked[0][2]["Authorization"] == "Bearer s3cret"
    assert stat.S_IMODE((bare / hook.TOKEN).stat().st_mode) == 0o600
    assert "s3cret" not in (bare / "hooks/post-receive").read_text()
    assert hook.read_token(str(bare)) == "s3cret"


def test_installing_without_a_token_leaves_the_one_that_is_there(bare):
    hook.install(str(bare), url="http://127.0.0.1:1", branch="main", token="one")
    hook.install(str(bare), url="http://127.0.0.1:1", branch="main")
    assert hook.read_token(str(bare)) == "one"


def test_installing_twice_changes_nothing(bare):
    assert hook.install(str(bare), url="http://127.0.0.1:1", branch="main") == "installed"
    before = (bare / "hooks/post-receive").stat()
    assert hook.install(str(bare), url="http://127.0.0.1:1/", branch="main") == "kept"
    assert (bare / "hooks/post-receive").stat() == before
    assert [p.name for p in (bare / "hooks").iterdir()] == ["post-receive"]


def test_another_address_renews_our_own_hook(bare):
    hook.install(str(bare), url="http://127.0.0.1:1", branch="main")
    assert hook.install(str(bare), url="http://127.0.0.1:2", branch="main") == "installed"
    assert "127.0.0.1:2" in (bare / "hooks/post-receive").read_text()
    assert [p.name for p in (bare / "hooks").iterdir()] == ["post-receive"]


def test_an_edited_hook_of_ours_is_kept(bare):
    hook.install(str(bare), url="http://127.0.0.1:1", branch="main")
    file = bare / "hooks/post-receive"
    file.write_text(file.read_text() + "echo mine\n")
    assert hook.install(str(bare), url="http://127.0.0.1:2", branch="main") == "kept"
    assert file.read_text().endswith("echo mine\n")
    assert "127.0.0.1:1" in file.read_text()


def test_a_foreign_hook_is_chained_and_run_first_with_the_same_lines(bare, clone, daemon, tmp_path):
    (bare / "hooks").mkdir()
    foreign = bare / "hooks/post-receive"
    foreign.write_text(
        f'#!/bin/sh\necho foreign "$(git rev-parse --is-bare-repository)"\ncat > "{tmp_path}/got"\nexit 3\n'
    )
    foreign.chmod(0o755)
    text = foreign.read_text()
    assert hook.install(str(bare), url=daemon.url, branch="main") == "installed"
    assert said(clone.push()) == ["foreign true", "sando: build 42 of 1a2b3c4 started"]
    sha = clone.git("rev-parse", "HEAD").strip()
    assert (tmp_path / "got").read_text() == f"{'0' * 40} {sha} refs/heads/main\n"
    assert (bare / "hooks/post-receive.local").read_text() == text
    assert hook.install(str(bare), url=daemon.url, branch="main") == "kept"


def test_a_foreign_hook_that_is_a_link_still_points_where_it_did(bare, clone, daemon):
    (bare / "hooks").mkdir()
    script = bare / "own.sh"
    script.write_text("#!/bin/sh\necho linked\n")
    script.chmod(0o755)
    (bare / "hooks/post-receive").symlink_to("../own.sh")
    hook.install(str(bare), url=daemon.url, branch="main")
    assert said(clone.push())[0] == "linked"
    assert script.read_text() == "#!/bin/sh\necho linked\n"


def test_a_second_foreign_hook_does_not_replace_the_first(bare, clone, daemon):
    (bare / "hooks").mkdir()
    for word in ("one", "two"):
        (bare / "hooks/new").write_text(f"#!/bin/sh\necho {word}\n")
        (bare / "hooks/new").chmod(0o755)
        (bare / "hooks/new").replace(bare / "hooks/post-receive")
        hook.install(str(bare), url=daemon.url, branch="main")
    assert said(clone.push())[:2] == ["one", "two"]


def test_a_crash_between_the_two_steps_of_the_installation_is_made_good(bare):
    (bare / "hooks").mkdir()
    foreign = bare / "hooks/post-receive"
    foreign.write_text("#!/bin/sh\n")
    os.link(foreign, bare / "hooks/post-receive.local")
    assert hook.install(str(bare), url="http://127.0.0.1:1", branch="main") == "installed"
    assert sorted(p.name for p in (bare / "hooks").iterdir()) == ["post-receive", "post-receive.local"]


def test_a_repository_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkError, match=r"cannot install .*file/hooks/post-receive"):
        hook.install(str(tmp_path / "file"), url="http://127.0.0.1:1", branch="main")


@pytest.mark.parametrize("fetcher", ["curl", "python3"])
def test_a_pusher_who_follows_sees_the_log_and_the_outcome(bare, clone, daemon, tmp_path, fetcher):
    daemon.answers["GET", "/operations/42/log?follow=1&visible=1"] = (
        200,
        b"Compiling server\nrunning 3 tests\n",
    )
    daemon.answers["GET", "/operations/42?wait=30"] = (
        200,
        STARTED | {"status": "succeeded", "version": "0.8.2"},
    )
    hook.install(str(bare), url=daemon.url, branch="main")
    output = clone.git("push", "-o", "x=1", "-o", "follow", "origin", "main", env=tools(tmp_path, fetcher))
    assert said(output) == [
        "sando: build 42 of 1a2b3c4 started",
        "Compiling server",
        "running 3 tests",
        "sando: build 42 of 1a2b3c4 succeeded: 0.8.2",
    ]


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (
            {"status": "failed", "error": f"{HOSTILE}\nits last lines"},
            f"build 42 of 1a2b3c4 failed: {HOSTILE}",
        ),
        (
            {"status": "failed", "error": "`cargo build` ended"},
            "build 42 of 1a2b3c4 failed: `cargo build` ended",
        ),
        ({"status": "superseded", "superseded_by": 43}, "build 42 of 1a2b3c4 was superseded by build 43"),
        ({"status": "errored", "error": None}, "build 42 of 1a2b3c4 errored"),
    ],
)
@pytest.mark.parametrize("fetcher", ["curl", "python3"])
def test_a_pusher_who_follows_learns_of_every_end(bare, clone, daemon, tmp_path, end, line, fetcher):
    daemon.answers["GET", "/operations/42/log?follow=1&visible=1"] = (200, b"x\n")
    daemon.answers["GET", "/operations/42?wait=30"] = (200, STARTED | end)
    hook.install(str(bare), url=daemon.url, branch="main")
    output = clone.git("push", "-o", "follow", "origin", "main", env=tools(tmp_path, fetcher))
    assert said(output)[-1] == f"sando: {line}"
    assert not (bare / "x").exists()


def test_who_follows_a_build_that_was_over_before_the_hook_asked_sees_its_output_all_the_same(
    bare, clone, daemon
):
    done = STARTED | {"status": "succeeded", "version": "0.8.2"}
    daemon.takes(200, done | {"code": "already_built"})
    daemon.answers["GET", "/operations/42/log?follow=1&visible=1"] = (200, b"Compiling server\n")
    daemon.answers["GET", "/operations/42?wait=30"] = (200, done)
    hook.install(str(bare), url=daemon.url, branch="main")
    assert said(clone.git("push", "-o", "follow", "origin", "main")) == [
        "sando: 1a2b3c4 is built already (0.8.2)",
        "Compiling server",
        "sando: build 42 of 1a2b3c4 succeeded: 0.8.2",
    ]


def test_following_ends_when_the_daemon_goes_away(bare, clone, daemon):
    hook.install(str(bare), url=daemon.url, branch="main")  # knows no log and no operation
    lines = said(clone.git("push", "-o", "follow", "origin", "main"))
    assert lines[-1].startswith("sando: sandod does not answer any more")
