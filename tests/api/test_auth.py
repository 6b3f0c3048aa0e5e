"""Host and Origin: who may speak to a daemon on loopback at all."""

import pytest

from tests.api.room import HOST, Room

HOSTS = [
    ("127.0.0.1:7766", True),
    ("127.0.0.1", True),
    ("127.8.9.10:80", True),
    ("localhost:7766", True),
    ("LOCALHOST", True),
    ("localhost:8000", True),  # ssh -L 8000:localhost:7766
    ("[::1]:7766", True),
    ("[::1]", True),
    ("ci.example:7766", True),
    ("CI.example", True),
    ("evil.example", False),
    ("localhost.evil.example", False),
    ("evil.example:7766", False),
    ("127.0.0.1.evil.example", False),
    ("user@127.0.0.1", False),
    ("127.0.0.1:7766, evil.example", False),
    ("127.0.0.1, 127.0.0.1", False),
    ("localhost.", False),
    ("ci.example.", False),
    ("127.1", False),
    ("2130706433", False),
    ("0x7f.1", False),
    ("10.0.0.1", False),
    ("[::2]", False),
    ("[0:0:0:0:0:0:0:1]:7766", True),
    ("[2001:db8::7]", True),
    ("[2001:DB8:0::0:7]:7766", True),
    ("[2001:db8::8]", False),
    ("[2001:db8::7].", False),
    ("[2001:db8::7]evil.example", False),
    ("[::ffff:127.0.0.1]", False),
    ("[fe80::1%25lo]", False),
    ("2001:db8::7", False),
    ("ci.example:7766:7766", False),
    ("ci.example.evil.example", False),
    ("xn--ci-example", False),
    ("ci。example", False),
    ("[::1", False),
    ("::1", False),
    ("localhost:port", False),
    ("localhost:999999", False),
    ("localhost/x", False),
    ("", False),
]


@pytest.mark.parametrize("host, allowed", HOSTS)
@pytest.mark.parametrize("path", ["/state", "/healthz", "/nowhere", "/promote/a"])
def test_only_hosts_that_are_ours_are_answered(room: Room, host, allowed, path):
    room.allowed_hosts = ["ci.example", "2001:db8::7"]
    answer = room.client.simulate_get(path, headers={"Host": host})
    assert (answer.status_code != 403) is allowed
    if not allowed:
        assert answer.json["code"] == "host_not_allowed"


def test_the_list_of_hosts_is_asked_anew_each_time(room: Room):
    def status() -> int:
        return room.client.simulate_get("/state", headers={"Host": "ci.example"}).status_code

    assert status() == 403
    room.allowed_hosts = ["ci.example"]
    assert status() == 200


ORIGINS = [
    ("http://127.0.0.1:7766", True),
    ("http://localhost:7766", True),
    ("http://ci.example:7766", True),
    ("http://evil.example", False),
    ("http://evil.example:7766", False),
    ("http://localhost:3000", False),  # another program of this machine
    ("http://localhost", False),
    ("https://localhost", False),
    ("http://localhost:7766.evil.example", False),
    ("http://user@localhost:7766", False),
    ("HTTP://LOCALHOST:7766", True),
    ("http://[::1]:7766", True),
    ("http://[0:0::1]:7766", True),
    ("http://localhost.:7766", False),
    ("http://localhost:7766/", False),
    ("http://localhost:07766", False),
    ("ws://localhost:7766", False),
    ("https://localhost:7766", True),
    ("http://[::1", False),
    ("file://", False),
    ("null", False),
    ("http://localhost:7766, http://evil.example", False),
    ("", False),
]


@pytest.mark.parametrize("origin, allowed", ORIGINS)
@pytest.mark.parametrize("method, path", [("GET", "/state"), ("POST", "/promote/a"), ("GET", "/nowhere")])
def test_a_page_of_another_site_is_refused(room: Room, origin, allowed, method, path):
    room.allowed_hosts = ["ci.example"]
    answer = room.client.simulate_request(method, path, headers={"Host": HOST, "Origin": origin})
    assert (answer.status_code != 403) is allowed
    if not allowed:
        assert (answer.json["code"], room.told) == ("origin_not_allowed", [])


def test_a_page_behind_a_proxy_that_keeps_the_host_is_our_own(room: Room):
    room.allowed_hosts = ["ci.example"]
    headers = {"Host": "ci.example", "Origin": "https://ci.example"}
    assert room.client.simulate_get("/state", headers=headers).status_code == 200


def test_forwarded_headers_change_nothing(room: Room):
    headers = {"Host": "evil.example", "X-Forwarded-Host": HOST, "Forwarded": f"host={HOST}"}
    assert room.client.simulate_get("/state", headers=headers).status_code == 403
