"""What a text may name, and the limits of what is fetched; a server here answers as bad ones do."""

import base64
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qvl_fast import ImageError
from qvl_fast._input.fetch import Fetcher, _is_public

CONTENT = bytes(range(256)) * 1000


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        getattr(self, "_" + self.path.partition("?")[0].strip("/"), self._missing)()

    def _file(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def _broken(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000])

    def _endless(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(CONTENT)

    def _drip(self):
        # A byte at a time, in a header that never ends: no single wait is long.
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Padding: ")
        while True:
            self.wfile.write(b".")
            time.sleep(0.05)

    def _silent(self):
        time.sleep(5)

    def _garbage(self):
        self.wfile.write(b"not HTTP at all\r\n\r\n")

    def _path(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode() + b" " + self.headers["Host"].encode())

    def _redirect(self):
        self.send_response(302)
        self.send_header("Location", self.path.partition("?")[2])
        self.end_headers()

    def _missing(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that has had enough is what the tests are about."""


@pytest.fixture(scope="module")
def server():
    with Server(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def resolving(monkeypatch, **hosts):
    """Host names that resolve to what a test says, on the port that was asked for."""
    resolve = socket.getaddrinfo

    def fake(host, port, **kwargs):
        return resolve(hosts.get(host, host), port, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fake)
        yield


LOCAL = Fetcher(allow_private=True)


def test_what_is_no_address_is_a_path_that_is_not_opened():
    assert Fetcher()("no/such/file.png") == "no/such/file.png"
    assert Fetcher()("file:///no/such file%20.png") == "/no/such file%20.png"


@pytest.mark.parametrize("text", ["picture.png", "file:///etc/hostname", "ftp://host/picture.png"])
def test_files_can_be_refused(text):
    with pytest.raises(ImageError, match=r"is a file, and allow_files is False"):
        Fetcher(allow_files=False)(text)


def test_downloads(server):
    assert LOCAL(server + "/file") == CONTENT
    assert LOCAL(f"{server}/redirect?/redirect?{server}/file") == CONTENT
    host = server.removeprefix("http://")
    assert LOCAL(server + "/path/?q=ä b&c=%20#part") == f"/path/?q=%C3%A4%20b&c=%20 {host}".encode()


def test_only_the_public_internet_is_connected_to(server, monkeypatch):
    port = server.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "[::ffff:10.0.0.1]"):
        with pytest.raises(ImageError, match="not of the public internet, and allow_private"):
            Fetcher()(f"http://{host}:{port}/file")
    with (
        resolving(monkeypatch, **{"innocent.example": "127.0.0.1"}),
        pytest.raises(ImageError, match=r"'innocent.example' has the address 127.0.0.1"),
    ):
        Fetcher()(f"http://innocent.example:{port}/file")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),  # where clouds keep credentials
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),  # 127.0.0.1 by 6to4
        ("64:ff9b::7f00:1", False),  # by NAT64
        ("64:ff9b::808:808", True),  # 8.8.8.8
        ("64:ff9b:1::a00:1", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("fec0::1", False),
        ("ff02::1", False),
    ],
)
def test_public_addresses(address, public):
    assert _is_public(address) is public


def test_each_redirect_is_looked_at(server, monkeypatch):
    """The first host is taken for a public one, the host it redirects to is not."""
    monkeypatch.setattr("qvl_fast._input.fetch._is_public", lambda address: address == "127.0.0.1")
    port = server.rpartition(":")[2]
    assert Fetcher()(server + "/file") == CONTENT
    with pytest.raises(ImageError, match=r"host '::1' has the address"):
        Fetcher()(f"{server}/redirect?http://[::1]:{port}/file")
    for place in ("file:///etc/hostname", "ftp://127.0.0.1/file"):
        with pytest.raises(ImageError, match="must be an http or https URL"):
            Fetcher()(f"{server}/redirect?{place}")


def test_redirects_end(server):
    address = server + "/redirect" + "?/redirect" * 3 + "?/file"
    assert Fetcher(allow_private=True, max_redirects=4)(address) == CONTENT
    with pytest.raises(ImageError, match="more than max_redirects=3 times"):
        Fetcher(allow_private=True, max_redirects=3)(address)


@pytest.mark.parametrize("path", ["/file", "/endless"])
def test_size_is_limited(server, path):
    with pytest.raises(ImageError, match="is larger than max_bytes=100000"):
        Fetcher(allow_private=True, max_bytes=100_000)(server + path)


@pytest.mark.parametrize("path", ["/silent", "/drip"])
def test_time_is_limited(server, path):
    with pytest.raises(TimeoutError, match=rf"{path}' did not arrive within timeout=0.3 seconds"):
        Fetcher(allow_private=True, timeout=0.3)(server + path)


def test_what_a_server_does_wrong(server):
    with pytest.raises(OSError, match=r"/nothing' answers 404 Not Found"):
        LOCAL(server + "/nothing")
    with pytest.raises(OSError, match="broke off 255000 bytes before its end"):
        LOCAL(server + "/broken")
    with pytest.raises(OSError, match=r"/garbage' does not answer as HTTP does"):
        LOCAL(server + "/garbage")


def test_unreachable_hosts():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        port = closed.getsockname()[1]
        with pytest.raises(ConnectionError, match=r"host '127.0.0.1' cannot be reached: "):
            LOCAL(f"http://127.0.0.1:{port}/file")
    with pytest.raises(ConnectionError, match=r"host '[^']*' cannot be reached: "):
        LOCAL("http://" + "a" * 70 + ".example/file")  # no name is as long as that


def test_a_server_that_does_not_speak_tls(server):
    with pytest.raises(ConnectionError, match=r"cannot be reached: .*SSL"):
        LOCAL(server.replace("http", "https") + "/file")


@pytest.mark.parametrize("address", ["http://", "https:///file", "http://host:port/", "http://[/"])
def test_bad_urls(address):
    with pytest.raises(ImageError, match="URL"):
        Fetcher()(address)


def test_base64():
    text = base64.b64encode(CONTENT).decode()
    assert Fetcher()("data:image/png;base64," + text) == CONTENT
    with pytest.raises(ImageError, match="followed by what is not base64: Incorrect padding"):
        Fetcher()("data:image/png;base64," + text[:-1])
    with pytest.raises(ImageError, match="has no base64 text"):
        Fetcher()("data:image/svg+xml,<svg/>")
    with pytest.raises(ImageError, match="larger than max_bytes=100"):
        Fetcher(max_bytes=100)("data:image/png;base64," + text)


@pytest.mark.parametrize(
    ("limit", "value", "error"),
    [
        ("max_bytes", 0, ValueError),
        ("max_bytes", 1.5, TypeError),
        ("timeout", 0, ValueError),
        ("timeout", float("inf"), ValueError),
        ("timeout", "30", TypeError),
        ("max_redirects", -1, ValueError),
    ],
)
def test_bad_limits(limit, value, error):
    with pytest.raises(error, match=limit):
        Fetcher(**{limit: value})
