"""SANDO_DAEMON and SANDO_TOKEN: what is taken, and what is refused in words that help."""

import pytest

from sando.client.address import AddressError, of_environment, parse


@pytest.mark.parametrize(
    ("text", "url", "netloc"),
    [
        ("http://127.0.0.1:7766", "http://127.0.0.1:7766", "127.0.0.1:7766"),
        ("127.0.0.1:7766", "http://127.0.0.1:7766", "127.0.0.1:7766"),
        ("build.example", "http://build.example", "build.example:80"),
        ("https://sando.example/", "https://sando.example", "sando.example:443"),
        ("https://sando.example:8443/ci/", "https://sando.example:8443/ci", "sando.example:8443"),
        ("http://[::1]:7766", "http://[::1]:7766", "[::1]:7766"),
        ("http://HOST.example:7766", "http://host.example:7766", "host.example:7766"),
    ],
)
def test_an_address_is_taken(text, url, netloc):
    found = parse(text)
    assert (found.url, found.netloc) == (url, netloc)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://x", "http://", "http://:7766", "http://host:port", "http://host:99999", "http://host:0", "http://ho st", "://",
        "http://host?x=1", "http://host#x", "http://ho\nst", "http://hóst", "http://[::1",
    ],
)  # fmt: skip
def test_what_is_no_address_says_what_to_write(text):
    with pytest.raises(AddressError, match=r"SANDO_DAEMON: .* is no address; write http://HOST:PORT"):
        parse(text)


def test_a_password_in_an_address_is_refused_and_not_shown():
    with pytest.raises(AddressError, match="a token goes into SANDO_TOKEN") as refused:
        parse("http://max:secret@host:7766")
    assert "secret" not in str(refused.value)


def test_the_environment_says_both_and_nothing_is_the_default():
    assert of_environment({}).url == "http://127.0.0.1:7766"
    assert of_environment({"SANDO_DAEMON": " ", "SANDO_TOKEN": ""}).headers == {}
    found = of_environment({"SANDO_DAEMON": "http://b:1", "SANDO_TOKEN": " s3cret\n"})
    assert (found.url, found.headers) == ("http://b:1", {"Authorization": "Bearer s3cret"})


@pytest.mark.parametrize("token", ["two words", "a\r\nHost: evil", "\x00", "schlüssel"])
def test_a_token_that_is_none_is_refused_and_not_shown(token):
    with pytest.raises(AddressError, match="copy it again") as refused:
        parse("http://b:1", token)
    assert token not in str(refused.value)
