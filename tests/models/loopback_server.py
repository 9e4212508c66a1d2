"""A real HTTP server on this machine that speaks OpenAI's protocol, and fails as it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], Any]
"""(status, headers, body): a body of bytes is sent as it is; a negative status closes the connection half-way."""


@dataclass
class Server:
    """What the server was asked, and what it does."""

    url: str = ""
    script: Callable[[dict[str, Any], int], Reply | None] = lambda body, attempt: None
    """(request body, how often this request has been made before) -> what goes wrong, or None to answer."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    delay_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def attempts(self, body: dict[str, Any]) -> int:
        return sum(other == body for other in self.bodies)


def completed(body: dict[str, Any]) -> dict[str, Any]:
    """An answer that depends on prompt and seed alone."""
    prompt = body.get("prompt") or body["messages"][0]["content"]
    text = f"{prompt}|{body['seed']}|END and more"
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

        def do_GET(self) -> None:
            self._send(200, {}, {"data": []})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                before = state.attempts(body)
                state.bodies.append(body)
                state.headers.append(dict(self.headers))
                state.busy += 1
                state.most_busy = max(state.busy, state.most_busy)
            if state.delay_s:
                time.sleep(state.delay_s)  # a server's own time: it is what is tested
            reply = state.script(body, before)
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

        def handle_error(self, *_: Any) -> None:
            """Connections that a test breaks off are no news."""

    server = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
