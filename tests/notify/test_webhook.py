"""One POST at real receivers on loopback: also such that hang, trickle, redirect, and have no certificate for it."""

import datetime as dt
import hashlib
import hmac
import ipaddress
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sando.model.errors import Undelivered
from sando.notify.webhook import Webhook, headers
from tests.notify.receiver import receiving, status

BODY = b'{"seq":7,"type":"BuildFailed"}'
PRIVATE = ("of-the-url", "hook?", "someone", "pass-of-the-url")


def send(url: str, body: bytes = BODY, secret: str | None = None, seconds: float = 10.0) -> None:
    Webhook(url, headers("BuildFailed", "7-1", body, secret), body, seconds=seconds).send()


def refused(url: str, **more: float) -> Undelivered:
    with pytest.raises(Undelivered) as found:
        send(url, **more)
    for private in PRIVATE:
        assert private not in str(found.value)
    assert found.value.__cause__ is None
    return found.value


def test_the_event_arrives_as_json_with_what_a_receiver_needs():
    with receiving() as there:
        send(there.url)
    (call,) = there.calls
    assert (call.line, call.body) == ("POST /hook?key=of-the-url HTTP/1.1", BODY)
    assert call.headers["content-type"] == "application/json"
    assert call.headers["host"] == f"127.0.0.1:{there.port}"
    assert (call.headers["sando-event"], call.headers["sando-delivery"]) == ("BuildFailed", "7-1")
    assert "sando-signature" not in call.headers
    assert "authorization" not in call.headers


def test_with_a_secret_the_bytes_of_the_body_are_signed():
    with receiving() as there:
        send(there.url, secret="s" * 20)
    (call,) = there.calls
    mac = hmac.new(b"s" * 20, call.body, hashlib.sha256).hexdigest()
    assert call.headers["sando-signature"] == f"sha256={mac}"


def test_a_login_in_the_url_is_sent_as_one_and_not_as_a_part_of_the_host():
    with receiving() as there:
        send(f"http://someone:pass-of-the-url%21@127.0.0.1:{there.port}/x#fragment")
    (call,) = there.calls
    assert call.headers["authorization"] == "Basic c29tZW9uZTpwYXNzLW9mLXRoZS11cmwh"
    assert call.headers["host"] == f"127.0.0.1:{there.port}"
    assert call.line == "POST /x HTTP/1.1"


@pytest.mark.parametrize("number", [200, 201, 202, 204, 299])
def test_any_2xx_has_taken_it(number):
    with receiving(status(number)) as there:
        send(there.url)


@pytest.mark.parametrize(
    "number, never",
    [(400, True), (413, True), (422, True), (401, False), (404, False), (429, False), (500, False)],
)
def test_any_other_answer_has_not_and_some_say_that_they_never_will(number, never):
    with receiving(status(number)) as there:
        error = refused(there.url)
    assert str(error) == f"127.0.0.1 answered {number}"
    assert error.never is never


@pytest.mark.parametrize("number", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(number):
    with receiving() as other, receiving(status(number, f"Location: {other.url}")) as there:
        assert "redirects are not followed" in str(refused(there.url))
        assert other.calls == []


@pytest.mark.parametrize(
    "said, after", [("120", 120.0), ("0", 0.0), ("soon", 0.0), ("-5", 0.0), ("9" * 40, 0.0)]
)
def test_a_receiver_may_ask_for_a_pause(said, after):
    with receiving(status(503, f"Retry-After: {said}")) as there:
        assert refused(there.url).after == after


@pytest.mark.parametrize("answer", ["hang", "trickle"])
def test_all_of_it_has_one_deadline_whatever_trickles(answer):
    with receiving(answer) as there:
        assert str(refused(there.url, seconds=0.3)) == "127.0.0.1 did not answer within 0.3 s"


def test_a_receiver_that_takes_nothing_has_the_same_deadline():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        with pytest.raises(Undelivered, match="did not answer within"):
            send(url, body=b"x" * 20_000_000, seconds=0.3)


@pytest.mark.parametrize(
    "answer", ["close", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/9.9 none\r\n\r\n", b"\0" * 100_000]
)
def test_what_is_no_http_is_told_as_that(answer):
    with receiving(answer) as there:
        assert str(refused(there.url)) in {
            "127.0.0.1 gave no HTTP answer",
            "127.0.0.1: Connection reset by peer",
        }


def test_nobody_there_and_no_such_host_are_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert str(refused(f"http://127.0.0.1:{port}/hook?key=of-the-url")) == "127.0.0.1: Connection refused"
    assert str(refused("http://nobody.invalid/hook?key=of-the-url")) == "nobody.invalid: no such host"


def test_an_answer_of_endless_headers_is_cut():
    with receiving(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n") as there:
        assert str(refused(there.url)) == "127.0.0.1 gave no HTTP answer"


def test_an_answer_without_end_is_not_read():
    with receiving(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n") as there:
        send(there.url)


def test_another_thread_can_break_it_off():
    with receiving("hang") as there:
        webhook = Webhook(there.url, {}, BODY)
        breaker = threading.Thread(target=lambda: (there.wait(1), webhook.abort()))
        breaker.start()
        with pytest.raises(Undelivered):
            webhook.send()
        breaker.join()


# -- TLS -------------------------------------------------------------------------------------------------------


def authority(folder, *names: x509.GeneralName) -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate of its own for these names, and the file of who vouches for it: itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, secret)
    return context, str(cert)


def ip(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))


def test_a_certificate_that_the_system_trusts_is_taken(tmp_path, monkeypatch):
    context, cert = authority(tmp_path, ip("127.0.0.1"))
    monkeypatch.setenv("SSL_CERT_FILE", cert)
    with receiving(tls=context) as there:
        send(there.url, secret="s" * 20)
    assert there.calls[0].body == BODY


def test_one_that_nobody_vouches_for_is_refused_before_anything_is_sent(tmp_path):
    context, _ = authority(tmp_path, ip("127.0.0.1"))
    with receiving(tls=context) as there:
        assert "certificate is not trusted" in str(refused(there.url))
        assert there.calls == []


def test_one_of_another_name_is_refused(tmp_path, monkeypatch):
    context, cert = authority(tmp_path, x509.DNSName("chat.example"))
    monkeypatch.setenv("SSL_CERT_FILE", cert)
    with receiving(tls=context) as there:
        assert "certificate is not trusted" in str(refused(there.url))
        assert there.calls == []


def test_a_handshake_that_never_comes_to_an_end_has_the_deadline_too():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert "did not answer within" in str(refused(url, seconds=0.3))


def test_plain_http_at_a_tls_url_is_told():
    with socket.create_server(("127.0.0.1", 0)) as plain:
        url = f"https://127.0.0.1:{plain.getsockname()[1]}/"
        answering = threading.Thread(target=lambda: plain.accept()[0].sendall(status(400)))
        answering.start()
        assert "TLS failed" in str(refused(url))
        answering.join()
