"""A real HTTP server on loopback that answers as a test says, and remembers what it was asked."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

Sends = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The parameters in the body."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Answer:
    """What to send; with ``cut`` the connection ends after so many bytes of the body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        """Send it."""
        handler.send_response(self.status)
        for name, value in {"Content-Length": str(len(self.body)), **self.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(self.body[: self.cut])
        if self.cut is not None:
            handler.close_connection = True


class Loopback:
    """Serves until the ``with`` block ends.

    Args:
        answer: what is sent for a request: an `Answer`, or any function of the handler.

    Attributes:
        url: the server's address, without a path.
        asked: the requests so far.
        faults: sent, each once, before the right answers.
    """

    def __init__(self, answer: Callable[[Asked], Sends]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.faults: list[Sends] = []
        self.url = ""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def respond(self, asked: Asked) -> Sends:
        """Remember a request and return what is sent for it."""
        with self._lock:
            self.asked.append(asked)
            if self.faults:
                return self.faults.pop(0)
        return self.answer(asked)


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            loopback.respond(Asked(self.command, parts.path, query, headers, body))(self)

        do_POST = do_GET  # noqa: N815  (the base class asks for this name)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
