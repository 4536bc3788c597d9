"""A real HTTP server on loopback that answers by a script, faults included.

``with FaultyServer() as server``: ``server.script(path, answer, ...)`` names the answers of a path in their order, the
last of which stays; ``server.asked`` holds the requests. An answer is a function of the handler: `status`,
`text`, `file`, `chunked`, `gzipped`, `redirect`, `slow`, or a test's own.
"""

import gzip
import time

import pytest

from kedrec.errors import KedrecError
from tests.support.loopback_server import Loopback

KEY = "s3cr3t-0123456789"  # what must never be shown
HTML = b"<!DOCTYPE html>\n<html><body>We are down for maintenance.</body></html>"


class FaultyServer(Loopback):
    """Answers by ``scripts``, the answers of each path; a path without one is status 404."""

    def __init__(self):
        super().__init__(self._scripted)
        self.scripts = {}

    def script(self, path, *answers):
        """Give ``path`` its answers; return its address."""
        self.scripts[path] = list(answers)
        return self.url + path

    def _scripted(self, asked):
        answers = self.scripts.get(asked.path) or [status(404)]
        return answers.pop(0) if len(answers) > 1 else answers[0]


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
    return [asked.headers.get("range") for asked in server.asked]
