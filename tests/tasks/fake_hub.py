"""A small Hugging Face hub on loopback: as much of its protocol as fetching single files takes, and plain files too."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESOLVE = re.compile(r"/(datasets/)?(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
LARGE = (".jsonl", ".gz", ".parquet")
"""Files whose content the hub keeps apart from git: it answers with another address and the sha256."""


class FakeHub:
    """Serves `repository -> revision -> path -> content`, and under `/plain/` the same without the hub's protocol."""

    def __init__(self, repositories: Mapping[str, Mapping[str, Mapping[str, bytes]]]) -> None:
        self.repositories = repositories
        self.requests: list[str] = []
        """Method and path of each request, in order."""
        self.status = 200
        """Another status is the answer to everything."""
        # Two servers, as in life: the hub library treats a redirection to the same host in another way.
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) for _ in range(2)]
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def content_url(self) -> str:
        """The host that has what is too large for git."""
        return f"http://127.0.0.1:{self._servers[1].server_address[1]}"

    def close(self) -> None:
        """From now on connections are refused."""
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                self._answer(with_body=True)

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, *, with_body: bool) -> None:
                hub.requests.append(f"{self.command} {self.path}")
                status, headers, body = hub.answer(self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

        return Handler

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        if self.status != 200:
            return self.status, {}, b"out of order"
        if path.startswith("/content/"):
            return self._content(path.removeprefix("/content/"))
        if path.startswith("/plain/"):
            owner, name, revision, inside = path.removeprefix("/plain/").split("/", 3)
            content = self.repositories.get(f"{owner}/{name}", {}).get(revision, {}).get(inside)
            return (404, {}, b"not found") if content is None else (200, {}, content)
        asked = RESOLVE.fullmatch(path)
        return self._resolve(**asked.groupdict()) if asked else (404, {}, b"not found")

    def _resolve(self, repository: str, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        if repository not in self.repositories:
            return 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b""
        if revision not in self.repositories[repository]:
            return 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"}, b""
        commit = {"X-Repo-Commit": revision}
        content = self.repositories[repository][revision].get(path)
        if content is None:
            return 404, {**commit, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}, b""
        if not path.endswith(LARGE):
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            return 200, {**commit, "ETag": f'"{blob}"'}, content
        sha256 = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
        return 302, {**commit, **linked, "Location": f"{self.content_url}/content/{sha256}"}, b""

    def _content(self, sha256: str) -> tuple[int, dict[str, str], bytes]:
        for revisions in self.repositories.values():
            for files in revisions.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == sha256:
                        return 200, {"ETag": f'"{sha256}"'}, content
        return 404, {}, b"not found"
