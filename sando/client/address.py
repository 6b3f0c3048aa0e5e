"""Where sandod is and which token is sent: SANDO_DAEMON and SANDO_TOKEN, checked before anything is asked."""

from collections.abc import Mapping
from urllib.parse import SplitResult, quote, urlsplit

from msgspec import Struct

from sando.model.errors import SandoError
from sando.model.names import visible

DEFAULT = "http://127.0.0.1:7766"
_PORTS = {"http": 80, "https": 443}


class AddressError(SandoError):
    """SANDO_DAEMON or SANDO_TOKEN cannot be used; the text says which and what to write instead."""


class Address(Struct, frozen=True):
    """`base` is what stands before every path: empty, or the folder that a proxy serves sandod under."""

    host: str
    port: int
    secure: bool = False
    base: str = ""
    token: str | None = None

    @property
    def url(self) -> str:
        scheme = "https" if self.secure else "http"
        bare = self.port == _PORTS[scheme]
        return f"{scheme}://{self._literal}{'' if bare else f':{self.port}'}{self.base}"

    @property
    def netloc(self) -> str:
        """What the Host header says."""
        return f"{self._literal}:{self.port}"

    @property
    def _literal(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def of_environment(environ: Mapping[str, str]) -> Address:
    """Raises AddressError. Empty variables count as not set."""
    return parse(environ.get("SANDO_DAEMON", "").strip() or DEFAULT, environ.get("SANDO_TOKEN") or None)


def parse(text: str, token: str | None = None) -> Address:
    """`http://HOST:PORT`, https too; a bare `HOST:PORT` is http. Raises AddressError."""
    split = _split(text if "://" in text else f"http://{text}", text)
    secure = split.scheme == "https"
    port = split.port or _PORTS[split.scheme]
    base = quote(split.path.rstrip("/"), safe="/%~")
    return Address(str(split.hostname), port, secure, base, _token(token))


def _split(full: str, text: str) -> SplitResult:
    try:
        split = urlsplit(full)
        usable = split.scheme in _PORTS and split.hostname and split.port != 0
    except ValueError:
        raise _bad(text) from None
    if split.username is not None or split.password is not None:
        raise AddressError("SANDO_DAEMON: an address has no user and password; a token goes into SANDO_TOKEN")
    if not usable or split.query or split.fragment or not all("!" <= c <= "~" for c in text):
        raise _bad(text)
    return split


def _bad(text: str) -> AddressError:
    return AddressError(f"SANDO_DAEMON: {visible(text)!r} is no address; write http://HOST:PORT")


def _token(token: str | None) -> str | None:
    """It is never shown, not even where it is wrong."""
    token = token.strip() if token else None
    if token and not all("!" <= c <= "~" for c in token):
        raise AddressError("SANDO_TOKEN: has characters that no token has; copy it again, as one word")
    return token or None
