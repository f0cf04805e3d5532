"""Images and videos that a text names: a path, a URL or the file itself in base64."""

from __future__ import annotations

import base64
import binascii
import http.client
import io
import ipaddress
import re
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

from qvl_fast._input.errors import ImageError
from qvl_fast._input.names import describe
from qvl_fast.config.checks import integer, positive_integer, positive_number

_REMOTE = re.compile("https?://", re.ASCII | re.IGNORECASE)
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 1 << 16
# IPv6 addresses that stand for one of IPv4, and those that are given to hosts.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
# What may stand in the path and the query of a URL; a percent sign begins what is quoted already.
_IN_PLACE = "/?%:@!$&'()*+,;=~[]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """Finds what a text names, within limits: call it with the text.

    http and https go straight to the server and to no proxy. A connection is made only to an
    address of the public internet, looked at after the host's name has been resolved, and anew at
    each redirect. Any other function from a text to bytes or a path can stand in its place, such as
    one that knows a proxy or an object store.

    Attributes:
        max_bytes: largest file, in bytes; no more than this is read.
        timeout: seconds for the whole of one file, redirects included. Only resolving a host's
            name has a limit of its own, the system's.
        max_redirects: how many are followed.
        allow_private: whether to connect to private, loopback and link-local addresses too.
        allow_files: whether paths and ``file://`` addresses may be opened. Say False in a server
            that passes on what its clients send.

    Raises:
        ValueError: a limit is out of range.
        TypeError: a limit has the wrong type.
    """

    max_bytes: int = 256 << 20
    timeout: float = 30.0
    max_redirects: int = 5
    allow_private: bool = False
    allow_files: bool = True

    def __post_init__(self) -> None:
        """Check the limits."""
        positive_integer("max_bytes", self.max_bytes)
        positive_number("timeout", self.timeout)
        integer("max_redirects", self.max_redirects, 0)

    def __call__(self, text: str) -> bytes | str:
        """The file that a text names.

        Args:
            text: a path, ``file://`` and a path, an ``http://`` or ``https://`` URL, or
                ``data:...;base64,`` and the file itself.

        Returns:
            The bytes, or the path of a local file, which is not opened.

        Raises:
            ImageError: the text is not one of these or not allowed, or the file is larger than
                ``max_bytes``.
            TimeoutError: it took longer than ``timeout``.
            OSError: the server cannot be reached or does not answer with a file.
        """
        if text.startswith("data:"):
            return self._decoded(text)
        if is_remote(text):
            return self._downloaded(text)
        if not self.allow_files:
            raise ImageError(f"{describe(text)} is a file, and allow_files is False", source=text)
        return text.removeprefix("file://")

    def _downloaded(self, address: str) -> bytes:
        deadline = monotonic() + self.timeout
        target = address
        try:
            for _ in range(self.max_redirects + 1):
                with self._answer(target, deadline) as response:
                    place = response.getheader("Location")
                    if response.status not in _REDIRECTS or place is None:
                        return self._body(response, address)
                target = urljoin(target, place)
        except TimeoutError:
            raise TimeoutError(
                f"{describe(address)} did not arrive within timeout={self.timeout} seconds"
            ) from None
        except http.client.HTTPException as error:
            raise OSError(f"{describe(address)} does not answer as HTTP does: {error!r}") from None
        raise ImageError(
            f"{describe(address)} redirects more than max_redirects={self.max_redirects} times",
            source=address,
        )

    @contextmanager
    def _answer(self, address: str, deadline: float) -> Generator[http.client.HTTPResponse]:
        """The answer to one request, its body still to be read."""
        url = _parsed(address)
        with self._connected(url, deadline) as connected:
            connection = http.client.HTTPConnection(url.hostname or "", url.port or 80)
            connection.sock = _Timed(connected, deadline)  # or it would connect by itself
            place = quote(urlunsplit(("", "", url.path or "/", url.query, "")), safe=_IN_PLACE)
            host = url.netloc.rpartition("@")[2]
            connection.request("GET", place, headers={"Host": host, "User-Agent": "qvl-fast"})
            yield connection.getresponse()

    def _connected(self, url: SplitResult, deadline: float) -> socket.socket:
        host = url.hostname or ""
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for *_, place in found:
                if not self.allow_private and not _is_public(str(place[0])):
                    raise ImageError(
                        f"host {host!r} has the address {place[0]}, which is not of the public "
                        "internet, and allow_private is False",
                        source=url.geturl(),
                    )
            connected = _first_reachable(found, deadline)
            if not secure:
                return connected
            connected.settimeout(_left(deadline))
            return ssl.create_default_context().wrap_socket(connected, server_hostname=host)
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as error:
            raise ConnectionError(f"host {host!r} cannot be reached: {error}") from error

    def _body(self, response: http.client.HTTPResponse, address: str) -> bytes:
        if response.status != 200:
            raise OSError(f"{describe(address)} answers {response.status} {response.reason}")
        parts: list[bytes] = []
        size = 0
        while part := response.read(_CHUNK):
            parts.append(part)
            size += len(part)
            self._check_size(size, address)
        if response.length:
            raise OSError(f"{describe(address)} broke off {response.length} bytes before its end")
        return b"".join(parts)

    def _decoded(self, address: str) -> bytes:
        head, mark, text = address.partition("base64,")
        if not mark:
            raise ImageError(f"{describe(address)} has no base64 text", source=address)
        self._check_size(len(text) * 3 // 4, address)
        try:
            return base64.b64decode(text)
        except (binascii.Error, ValueError) as error:
            raise ImageError(
                f"{describe(head + mark)} is followed by what is not base64: {error}",
                source=address,
                reason=str(error),
            ) from None

    def _check_size(self, size: int, address: str) -> None:
        if size > self.max_bytes:
            raise ImageError(
                f"{describe(address)} is larger than max_bytes={self.max_bytes}", source=address
            )


def is_remote(text: str) -> bool:
    """Whether a text names something that comes over the network."""
    return _REMOTE.match(text) is not None


class _Timed(io.RawIOBase):
    """A connected socket each of whose waits ends by one deadline.

    A limit of each wait alone would let a server send a byte now and then for ever.
    """

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        """Nothing: of a connection that ends with its answer, the answer is still to be read."""


def _parsed(address: str) -> SplitResult:
    try:
        url = urlsplit(address)
        url.port  # noqa: B018 - it is checked when it is asked for
    except ValueError as error:
        raise ImageError(f"{describe(address)} is not a URL: {error}", source=address) from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ImageError(
            f"{describe(address)} must be an http or https URL with a host", source=address
        )
    return url


def _is_public(address: str) -> bool:
    place = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(place, ipaddress.IPv6Address):
        # What it wraps is what a connection goes to in the end.
        wrapped = place.ipv4_mapped or place.sixtofour
        if place in _NAT64:
            wrapped = ipaddress.IPv4Address(int(place) & 0xFFFFFFFF)
        if wrapped is not None:
            place = wrapped
        elif place not in _UNICAST:
            return False
    return place.is_global and not place.is_multicast


def _first_reachable(found: list[Any], deadline: float) -> socket.socket:
    """A connection to the first address that takes one.

    Raises:
        OSError: none does.
    """
    refusal: OSError | None = None
    for family, kind, protocol, _, place in found:
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(_left(deadline))
            connected.connect(place)
        except OSError as error:
            connected.close()
            refusal = error
        else:
            return connected
    raise refusal or OSError("no address")


def _left(deadline: float) -> float:
    """Seconds until a deadline.

    Raises:
        TimeoutError: it has passed.
    """
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
