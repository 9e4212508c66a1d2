"""A real HTTP server on this machine that speaks OpenAI's protocol, and fails as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], Any]
"""(status, headers, body): a body of bytes is sent as it is; a negative status closes the connection half-way."""

HELD_S = 60.0
"""No test waits so long: it is what a held request takes where nobody hangs up."""


@dataclass
class Server:
    """What the server was asked, and what it does."""

    url: str = ""
    script: Callable[[dict[str, Any], int], Reply | None] = lambda body, attempt: None
    """(request body, how often this request has been made before) -> what goes wrong, or None to answer."""
    listing: Callable[[int], Reply] = lambda asked: (200, {}, {"data": [{"id": "m"}]})
    """(how often the models have been asked for before) -> what is said."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    """Set when the server ends: what is held is let go."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, body: dict[str, Any], attempt: int) -> None:
        """A script: no answer while the server runs."""
        self.released.wait(HELD_S)

    def take(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> int:
        """Notes a request; how often it has been made before."""
        with self.lock:
            attempt = self.bodies.count(body)
            self.paths.append(path)
            self.headers.append(headers)
            self.bodies.append(body)
            self.busy += 1
            self.most_busy = max(self.busy, self.most_busy)
        return attempt


def completed(body: dict[str, Any]) -> dict[str, Any]:
    """An answer that depends on prompt and seed alone."""
    prompt = body["prompt"] if "prompt" in body else body["messages"][0]["content"]
    text = f"{prompt}|{body.get('seed')}|END and more"
    stops = [text.find(stop) for stop in body.get("stop", []) if stop in text]
    text = text[: min(stops)] if stops else text
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if stops else "length"}
    choice |= {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
    return {"choices": [choice], "usage": {"completion_tokens": len(text)}, "system_fingerprint": "fp_1"}


@contextmanager
def serving() -> Iterator[Server]:
    """The server, until the block ends."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        times_listed = 0

        def do_GET(self) -> None:
            with state.lock:
                state.headers.append(dict(self.headers))
                listed, Handler.times_listed = Handler.times_listed, Handler.times_listed + 1
            self._send(*state.listing(listed))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            attempt = state.take(self.path, dict(self.headers), body)
            try:
                reply = state.script(body, attempt)
            finally:
                with state.lock:
                    state.busy -= 1
            self._send(*(reply or (200, {}, completed(body))))

        def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(abs(status))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) + (100 if status < 0 else 0)))
            self.end_headers()
            self.wfile.write(data)
            if status < 0:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_: Any) -> None:
            """Connections that a test breaks off are no news."""

    server = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
