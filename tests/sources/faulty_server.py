"""A real HTTP server on loopback that answers by a script, faults included.

``with FaultyServer() as server``: ``server.script(path, answer, ...)`` names the answers of a path in their order, the
last of which stays; ``server.seen`` holds the requests. An answer is a function of the handler: `status`,
`text`, `file`, `chunked`, `gzipped`, `redirect`, `slow`, or a test's own.
"""

import gzip
import http.server
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import pytest

from kedrec.errors import KedrecError

KEY = "s3cr3t-0123456789"  # what must never be shown
HTML = b"<!DOCTYPE html>\n<html><body>We are down for maintenance.</body></html>"


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self):
        return dict(parse_qsl(self.body.decode()))


@dataclass
class FaultyServer:
    """Serves until the ``with`` block ends; a path without a script is status 404."""

    scripts: dict[str, list] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self):
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def script(self, path, *answers):
        """Give ``path`` its answers; return its address."""
        self.scripts[path] = list(answers)
        return self.url(path)

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self._http.server_address[1]}{path}"

    def answer(self, path):
        answers = self.scripts.get(path) or [status(404)]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def _handler(server):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.seen.append(Seen(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            server.answer(parts.path)(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    return Handler


def send(handler, code, headers, body=b"", *, length=True):
    """Send one answer; ``length`` may state another length than the body's, or ``None`` for none at all."""
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    if length is None:
        handler.close_connection = True
    else:
        handler.send_header("Content-Length", str(len(body) if length is True else length))
    handler.end_headers()
    handler.wfile.write(body)
    if length not in (True, None, len(body)):
        handler.close_connection = True  # the connection ends in the middle of the body


def status(code, body=b"", **headers):
    """A bare status; ``Retry_After="3"`` and the like become headers."""
    return lambda handler: send(handler, code, {key.replace("_", "-"): value for key, value in headers.items()}, body)


def text(body, kind="application/json"):
    """A small whole body."""
    return lambda handler: send(handler, 200, {"Content-Type": kind}, body.encode() if isinstance(body, str) else body)


def gzipped(body, cut=None, coding="gzip"):
    """A body in gzip coding, of which ``cut`` bytes are sent as if they were all."""
    return lambda handler: send(handler, 200, {"Content-Encoding": coding}, gzip.compress(body, mtime=0)[:cut])


def redirect(to, code=302):
    """Sends on to an address; a function of the handler may give it."""
    return lambda handler: send(handler, code, {"Location": to(handler) if callable(to) else to})


def slow(seconds):
    """Says nothing for a while, then hangs up."""

    def answer(handler):
        time.sleep(seconds)
        handler.close_connection = True

    return answer


def file(data, *, etag='"one"', ranges=True, upto=None, headers=None, modified=None):
    """A file as a good server sends it: ranges, If-Range, 416; the connection is cut after ``upto`` bytes."""

    def answer(handler):
        wanted = handler.headers.get("Range", "") if ranges else ""
        if wanted and handler.headers.get("If-Range") not in (None, etag, modified):
            wanted = ""
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        known = {"ETag": etag, "Last-Modified": modified, **(headers or {})}
        told = {name: value for name, value in known.items() if value is not None}
        if wanted and start >= len(data):
            send(handler, 416, {"Content-Range": f"bytes */{len(data)}"})
            return
        if wanted:
            told["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        rest = data[start:]
        send(handler, 206 if wanted else 200, told, rest[: None if upto is None else upto], length=len(rest))

    return answer


def chunked(data, *, whole=True, headers=None):
    """A body in chunks without a length; not ``whole``: the last chunk never comes."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) + (b"0\r\n\r\n" if whole else b""))
        handler.close_connection = not whole

    return answer


def fails(ask, *expected):
    """Return the one clear error, of one line and without a key, that ``ask`` ends in."""
    with pytest.raises(KedrecError) as fault:
        ask()
    for part in expected:
        assert part in str(fault.value)
    assert "\n" not in str(fault.value)
    assert KEY not in str(fault.value)
    return str(fault.value)


def ranges(server):
    """Return the ranges that were asked for."""
    return [seen.headers.get("range") for seen in server.seen]
