"""A real HTTP server on loopback that answers as a test says, and remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest


@dataclass(frozen=True)
class Asked:
    """A request: its path, and its parameters, of the address and of the form."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What to send; with ``cut`` the connection ends after so many bytes of the body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


class Loopback:
    """The server: ``url``, the requests so far in ``asked``, and faults to send before the right answers."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.faults: list[Answer] = []
        self.url = ""
        self.lock = threading.Lock()

    def respond(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            if self.faults:
                return self.faults.pop(0)
        return self.answer(asked)


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length", 0))
            form = dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            answer = loopback.respond(Asked(self.command, parts.path, query, form))
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])
            if answer.cut is not None:
                self.close_connection = True

        do_POST = do_GET  # noqa: N815  (the base class asks for this name)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


def allow_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what asks for no network, or for a proxy on the way."""
    for name in ("KEDREC_OFFLINE", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Loopback]:
    """Run a server for the length of the block."""
    loopback = Loopback(answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(loopback))
    server.daemon_threads = True
    loopback.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
