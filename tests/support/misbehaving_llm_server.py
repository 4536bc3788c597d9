"""A server of OpenAI's protocol on loopback that misbehaves as it is told."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def chat(text="a fine answer", prompt_tokens=10, completion_tokens=5, finish="stop"):
    """Return the body of a whole answer."""
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def events(text, usage=None, finish="stop"):
    """Return a stream's lines."""
    made = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
    made += [
        {"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]} for word in text.split()
    ]
    if finish:
        made.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        made.append({"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}})
    lines = [json.dumps({"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", **e}) for e in made]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if finish else [])])


class Reply:
    """What the server does with one request: status, headers, body, and faults of the line."""

    def __init__(self, body=None, status=200, headers=None, wait=0.0, cut=None, kind="application/json"):
        self.body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.status, self.headers, self.wait, self.cut, self.kind = status, headers or {}, wait, cut, kind


def error(status, message, headers=None, **fields):
    return Reply({"error": {"message": message, **fields}}, status, headers)


class Server:
    """Answers with ``rule(request body, number of the request)``, which returns a `Reply`."""

    def __init__(self, rule):
        self.rule, self.seen, self.headers, self.busy, self.busiest = rule, [], [], 0, 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    number = len(outer.seen)
                    outer.seen.append(body)
                    outer.headers.append(dict(self.headers))
                    outer.busy += 1
                    outer.busiest = max(outer.busiest, outer.busy)
                try:
                    reply = outer.rule(body, number)
                    time.sleep(reply.wait)
                finally:
                    with lock:
                        outer.busy -= 1
                self.send_response(reply.status)
                self.send_header("content-type", reply.kind)
                self.send_header("content-length", str(len(reply.body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body[: reply.cut])
                if reply.cut is not None:
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64  # a client whose place in it is refused waits a second

            def handle_error(self, *_):
                pass  # clients that hang up are part of the tests

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"


@contextmanager
def serving(*script, rule=None):
    """Serve the replies of ``script`` in turn, then fine answers; or by ``rule``."""
    server = Server(rule or (lambda _, number: script[number] if number < len(script) else Reply(chat())))
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
