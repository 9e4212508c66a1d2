"""A server that speaks OpenAI's protocol as a backend: vLLM, llama.cpp, SGLang, TGI, or the real one.

What goes wrong on the way to a model is no answer of the model: it is tried again, and what stays without an answer is
a `Fault`, never an empty completion.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import email.utils
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from models.backend import Completion, Fault, ModelUnavailable, Request, Sampling
from models.catalog import Options

if TYPE_CHECKING:
    import urllib3

MAX_STOPS = 4
"""More stop strings than this the protocol does not take; all of them are looked for here again."""
ATTEMPTS = 6
LONGEST_WAIT_S = 60.0
TIMEOUT_S = 600.0
"""Of one answer: a loaded server may take minutes for a long completion."""

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 529})
"""Statuses that another attempt may not meet."""
_HOPELESS = frozenset({401, 403, 404, 405})
"""Statuses that every request would meet."""


def open_backend(place: str, options: Options) -> OpenAIBackend:
    """`openai:BASE_URL#MODEL`, or `openai:BASE_URL#MODEL@chat` for the endpoint of conversations.

    Raises:
        ValueError: the place is not of that form.
        ModelUnavailable: nothing answers there.
    """
    base_url, hash_sign, model = place.partition("#")
    parts = urlsplit(base_url)
    if not hash_sign or not model or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"openai:{place} does not name a server and a model; type for example openai:http://localhost:8000/v1#NAME"
        )
    name, at, endpoint = model.rpartition("@")
    chat = bool(at) and endpoint == "chat"
    backend = OpenAIBackend(
        base_url,
        name if chat else model,
        chat=chat,
        concurrency=options.batch_size,
        api_key=os.environ.get("OPENAI_API_KEY"),
    )
    backend.probe()
    return backend


class _Refused(Exception):
    """The server's answer to one request, which another attempt would not change."""


class OpenAIBackend:
    """A model behind HTTP.

    Args:
        base_url: up to `/v1`.
        model: the name that the server knows it by.
        chat: whether prompts are messages of a conversation.
        concurrency: requests in flight.
        api_key: sent as a bearer token; in no message and no record.
        attempts: of each request.
        timeout_s: of each attempt.
        sleep: waits so many seconds.
        now: seconds since 1970, for dates in Retry-After.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        chat: bool = False,
        concurrency: int = 16,
        api_key: str | None = None,
        attempts: int = ATTEMPTS,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        import urllib3

        self._base_url = base_url.rstrip("/")
        self._model = model
        self._chat = chat
        self._concurrency = concurrency
        self._attempts = attempts
        self._closing = threading.Event()
        self._sleep = sleep or self._wait
        self._now = now
        self._fingerprints: set[str] = set()
        self._counts = {"requests": 0, "retries": 0, "faults": 0, "tokens": 0}
        self._lock = threading.Lock()
        self._headers = {"Content-Type": "application/json"}
        parts = urlsplit(self._base_url)
        if parts.username or parts.password:
            self._headers |= urllib3.make_headers(basic_auth=f"{parts.username or ''}:{parts.password or ''}")
            host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
            self._base_url = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._pool = urllib3.PoolManager(
            maxsize=concurrency, block=False, retries=False, timeout=urllib3.Timeout(connect=10.0, read=timeout_s)
        )

    def __repr__(self) -> str:
        return f"OpenAIBackend({self._base_url!r}, {self._model!r})"

    # -----------------------------------------------------------------------------------------------------------------
    # The protocol of backends
    # -----------------------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return {
            "model": f"openai:{self._base_url}#{self._model}",
            "digest": "",
            "endpoint": "chat/completions" if self._chat else "completions",
        }

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion | Fault]:
        with concurrent.futures.ThreadPoolExecutor(self._concurrency, thread_name_prefix="openai") as threads:
            waiting: set[concurrent.futures.Future[Completion | Fault]] = set()
            try:
                for request in requests:
                    if len(waiting) >= 2 * self._concurrency:
                        done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                        yield from (future.result() for future in done)
                    waiting.add(threads.submit(self._answer, request, sampling))
                for future in concurrent.futures.as_completed(waiting):
                    yield future.result()
            except BaseException:  # also of whoever consumes: no thread is left behind
                self._closing.set()
                threads.shutdown(cancel_futures=True)
                raise

    def statistics(self) -> Mapping[str, Any]:
        return {**self._counts, "system_fingerprints": ", ".join(sorted(self._fingerprints))}

    def close(self) -> None:
        self._closing.set()
        self._pool.clear()

    def probe(self) -> None:
        """Asks the server whether it is there.

        Raises:
            ModelUnavailable: it is not, or it refuses the key.
        """
        import urllib3

        try:
            answer = self._pool.request("GET", f"{self._base_url}/models", headers=self._headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise ModelUnavailable(
                f"nothing answers at {self._base_url} ({_reason(error)}); start the server"
            ) from error
        if answer.status in (401, 403):
            raise self._no_entry(answer.status)

    # -----------------------------------------------------------------------------------------------------------------
    # One request
    # -----------------------------------------------------------------------------------------------------------------

    def _answer(self, request: Request, sampling: Sampling) -> Completion | Fault:
        chance = random.Random(request.seed)
        reason = "closed before it was asked"
        for attempt in range(self._attempts):
            if self._closing.is_set():
                break
            try:
                return self._completion(request, sampling, self._post(request, sampling))
            except _Refused as error:
                return self._fault(request, str(error))
            except _Again as error:
                reason = str(error)
                if attempt + 1 < self._attempts:
                    self._count("retries")
                    usual = min(LONGEST_WAIT_S, 0.5 * 2**attempt) * (0.5 + chance.random())
                    self._sleep(usual if error.after_s is None else min(error.after_s, LONGEST_WAIT_S))
        return self._fault(request, f"{reason}; {self._attempts} attempts")

    def _wait(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _fault(self, request: Request, reason: str) -> Fault:
        self._count("faults")
        return Fault(task_id=request.task_id, index=request.index, reason=reason)

    def _count(self, name: str, by: int = 1) -> None:
        with self._lock:
            self._counts[name] += by

    def _post(self, request: Request, sampling: Sampling) -> Any:
        import urllib3

        self._count("requests")
        endpoint = "chat/completions" if self._chat else "completions"
        try:
            answer = self._pool.request(
                "POST",
                f"{self._base_url}/{endpoint}",
                body=json.dumps(self._body(request, sampling)).encode(),
                headers=self._headers,
                redirect=False,  # the key is for this host
            )
        except urllib3.exceptions.HTTPError as error:
            raise _Again(_reason(error)) from error
        if answer.status == 200:
            try:
                return json.loads(answer.data)
            except ValueError as error:
                raise _Again(f"an answer that is no JSON: {error}") from error
        self._refuse(answer)
        raise AssertionError

    def _body(self, request: Request, sampling: Sampling) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "n": 1,
            # Some servers keep seeds in 32 bits with a sign.
            "seed": request.seed & 0x7FFFFFFF,
        }
        if self._chat:
            body["messages"] = [{"role": "user", "content": request.prompt}]
        else:
            body["prompt"] = request.prompt
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if sampling.stops:
            body["stop"] = list(sampling.stops[:MAX_STOPS])
        return body

    def _refuse(self, answer: urllib3.BaseHTTPResponse) -> None:
        """Raises what another status than 200 means."""
        said = _message(answer.data)
        if answer.status in _AGAIN:
            raise _Again(
                f"status {answer.status}: {said}", after_s=self._retry_after(answer.headers.get("Retry-After"))
            )
        if answer.status in _HOPELESS:
            raise self._no_entry(answer.status, said)
        raise _Refused(f"status {answer.status}: {said}")

    def _no_entry(self, status: int, said: str = "") -> ModelUnavailable:
        if status in (401, 403):
            return ModelUnavailable(
                f"{self._base_url} refuses us with status {status}; put a key that it knows into OPENAI_API_KEY"
            )
        return ModelUnavailable(
            f"{self._base_url} does not know the model {self._model!r}, or not this endpoint "
            f"(status {status}: {said}); `curl {self._base_url}/models` lists its models"
        )

    def _retry_after(self, text: str | None) -> float | None:
        """Seconds that a server asks us to wait: a number of them, or a date."""
        if not text:
            return None
        try:
            return max(0.0, float(text))
        except ValueError:
            pass
        try:
            when = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=datetime.UTC)
        return max(0.0, when.timestamp() - self._now())

    def _completion(self, request: Request, sampling: Sampling, answer: Any) -> Completion | Fault:
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] if self._chat else choice["text"]
            reason = choice["finish_reason"]
            usage = answer.get("usage") or {}
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise _Again(f"an answer without a completion ({error!r})") from error
        if reason not in ("stop", "length") or not isinstance(text, str):
            # A filter or a tool call is nothing that the model answered to the problem.
            return self._fault(request, f"the server ended the answer for the reason {reason!r}")
        if answer.get("system_fingerprint"):
            self._fingerprints.add(str(answer["system_fingerprint"]))
        cut = min((place for place in map(text.find, sampling.stops) if place >= 0), default=None)
        num_tokens = usage.get("completion_tokens")
        self._count("tokens", num_tokens or 0)
        return Completion(
            task_id=request.task_id,
            index=request.index,
            text=text if cut is None else text[:cut],
            finish_reason="stop" if cut is not None else reason,
            num_tokens=num_tokens,
        )


class _Again(Exception):
    """What another attempt may not meet."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def _message(data: bytes) -> str:
    """What the server says is wrong, in one line."""
    text = data.decode(errors="replace")
    try:
        said = json.loads(text)
        error = said.get("error", said)
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        pass
    return " ".join(str(text).split())[:300]


def _reason(error: Exception) -> str:
    """An exception of the HTTP library without the addresses of its objects."""
    inner = getattr(error, "reason", None) or error
    text = str(inner).rpartition(": ")[2] or str(inner)
    return f"{type(inner).__name__}: {text}"
