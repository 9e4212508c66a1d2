"""A server that speaks OpenAI's protocol as a backend: vLLM, SGLang, llama.cpp, TGI, Ollama, or the original.

What goes wrong on the way to a model is no answer of the model: it is tried again, and what stays without an answer is
a `Fault`, which is asked again on resume, never an empty completion.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import random
import re
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

from models.backend import Completion, Fault, FinishReason, ModelUnavailable, Request, Sampling
from models.catalog import Options
from models.retry import Again, asked_wait_s, wait_s

CONCURRENCY = 16
MAX_ATTEMPTS = 6
TIMEOUT_S = 600.0
"""Of silence: a loaded server says nothing for minutes while it writes a long completion."""
CONNECT_TIMEOUT_S = 10.0
PATIENCE_S = 900.0
"""A server that has answered nothing for so long ends the run, instead of failing every request that is left."""
MAX_STOPS = 4
"""The protocol takes no more stop strings."""
SEED_BITS = 31
"""Some servers keep seeds in 32 bits with a sign."""

_FINISH: dict[Any, FinishReason] = {
    "stop": "stop",
    "length": "length",
    # What text-generation-inference has called them.
    "eos_token": "stop",
    "stop_sequence": "stop",
}
"""Any other reason (a filter, a call of a tool, none) is nothing that the model answered to the problem."""

_BUSY = frozenset({408, 409, 425, 429})
"""Statuses below 500 that another attempt may not meet."""
_HOPELESS = frozenset({401, 403, 404, 405})
"""Statuses that every request would meet, as long as none has been answered."""


def open_backend(place: str, options: Options) -> OpenAIBackend:
    """`openai:BASE_URL#MODEL`, or `openai:BASE_URL#MODEL@chat` for the endpoint of conversations.

    A name that itself ends in `@chat` is written `NAME@chat@completions`. The key is taken from OPENAI_API_KEY, unless
    the address has a user and a password.

    Raises:
        ValueError: the place is not of that form.
        ModelUnavailable: nothing answers there, or not for this model and key.
    """
    base_url, model, chat = parse_place(place)
    key = os.environ.get("OPENAI_API_KEY")
    backend = OpenAIBackend(base_url, model, chat=chat, concurrency=options.batch_size, api_key=key)
    try:
        backend.probe()
    except BaseException:
        backend.close()
        raise
    return backend


def parse_place(place: str) -> tuple[str, str, bool]:
    """(address, name of the model, whether it is asked as a conversation) of what follows `openai:`.

    Raises:
        ValueError: it is not of that form.
    """
    base_url, _, model = place.partition("#")
    name, _, endpoint = model.rpartition("@")
    if name and endpoint in ("chat", "completions"):
        model = name
    if not model or not _is_address(base_url):
        # The place may hold a password: it is not repeated.
        raise ValueError(
            "openai: takes the address of a server, up to /v1 and without a query, and the name of a model; type for "
            "example openai:http://localhost:8000/v1#NAME, or ...#NAME@chat for its endpoint of conversations"
        )
    return base_url, model, bool(name) and endpoint == "chat"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:  # a port that is no number, an unclosed bracket
        return False


class OpenAIBackend:
    """A model behind HTTP.

    The seed of each request is folded to `SEED_BITS` bits and sent; whether it repeats a text is the server's affair.

    Args:
        base_url: up to `/v1`. A user and a password in it are sent to the server, in place of the key.
        model: the name that the server knows it by.
        api_key: sent as a bearer token; in no message and no record.
        chat: whether a prompt is the message of a conversation, or a text to go on with.
        concurrency: requests in flight.
        timeout_s: of silence in each attempt.
        max_attempts: of each request.
        sleep: waits so many seconds; None for a wait that `close` ends.
        clock: seconds since 1970.

    Raises:
        ValueError: the key cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        chat: bool = False,
        concurrency: int = CONCURRENCY,
        timeout_s: float = TIMEOUT_S,
        max_attempts: int = MAX_ATTEMPTS,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model = model
        self._chat = chat
        self._endpoint = "chat/completions" if chat else "completions"
        self._concurrency = concurrency
        self._max_attempts = max_attempts
        self._sleep = sleep
        self._clock = clock
        self._server = _Server(base_url, api_key, connections=concurrency, timeout_s=timeout_s)
        self._lock = threading.Lock()
        self._calls: set[_Call] = set()
        self._closed = False
        self._heard_s: float | None = None
        """When the model last answered; None before it has."""
        self._since_s = clock()
        self._counts = dict.fromkeys(("completions", "tokens", "requests", "retries", "faults"), 0)
        self._fingerprints: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"OpenAIBackend({self._server.base_url!r}, {self._model!r}, chat={self._chat})"

    # -----------------------------------------------------------------------------------------------------------------
    # The protocol of backends
    # -----------------------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return {
            "model": f"openai:{self._server.base_url}#{self._model}{'@chat' if self._chat else ''}",
            "digest": "",
            "base_url": self._server.base_url,
            "endpoint": self._endpoint,
            "seed_bits": SEED_BITS,
        }

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion | Fault]:
        """As in `Backend`.

        Raises:
            ModelUnavailable: every request would be refused, or the server has not answered for `PATIENCE_S`.
        """
        call = _Call(self._concurrency, lambda request, stop: self._answer(request, sampling, stop))
        with self._lock:
            self._calls.add(call)
            self._since_s = self._clock()
            if self._closed:
                call.stop.set()
        try:
            yield from call.answers(requests)
        finally:  # also where whoever consumes has stopped
            self._end(call)

    def statistics(self) -> Mapping[str, Any]:
        with self._lock:
            return {**self._counts, "system_fingerprints": dict(self._fingerprints)}

    def close(self) -> None:
        """Ends what is in flight; requests that are not yet answered become faults."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        for call in calls:
            self._end(call)
        self._server.close()

    def _end(self, call: _Call) -> None:
        call.end(self._server.hang_up)
        with self._lock:
            self._calls.discard(call)

    # -----------------------------------------------------------------------------------------------------------------
    # Before the first token
    # -----------------------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """Asks the server for its models, and where ours is not among them, for one token.

        Raises:
            ModelUnavailable: nothing answers, or not for this model and key.
        """
        status, headers, data = self._reach("GET", "models", None)
        names = _names(data) if status == 200 else []
        if self._model in names:
            return
        if status in (401, 403) or 300 <= status < 400:
            raise self._unavailable(status, headers, data)
        # Some servers list no models, and some know a model by more names than they list.
        status, headers, data = self._reach("POST", self._endpoint, {**self._prompt("1 + 1 ="), "max_tokens": 1})
        if not 200 <= status < 300:
            raise self._unavailable(status, headers, data, names)
        try:
            _first_choice(_decoded(data))
            self._hear()
        except Again as error:
            raise ModelUnavailable(
                f"what answers at {self._server.base_url} does not speak OpenAI's protocol ({error}); does the address "
                "end before /completions, usually with /v1?"
            ) from None

    def _reach(self, method: str, path: str, body: Mapping[str, Any] | None) -> _Reply:
        """The server's reply, after the time that it takes to load a model."""
        chance = random.Random(0)
        for attempt in range(self._max_attempts):
            try:
                reply = self._server.ask(method, path, body)
            except Again as error:
                raise ModelUnavailable(
                    f"nothing answers at {self._server.base_url} ({error}); start the server, or correct the address"
                ) from None
            if not _passes(reply[0]):
                return reply
            if attempt + 1 < self._max_attempts:
                asked_s = asked_wait_s(reply[1].get("Retry-After"), self._clock())
                (self._sleep or time.sleep)(wait_s(attempt, chance, asked_s))
        raise ModelUnavailable(
            f"{self._server.base_url} has no answer to {path} (status {reply[0]}: {self._server.message(reply[2])}); "
            "look at the server's log, or type the same command again later"
        )

    def _unavailable(
        self, status: int, headers: Mapping[str, str], data: bytes, names: Sequence[str] = ()
    ) -> ModelUnavailable:
        url = self._server.base_url
        said = self._server.message(data)
        if status == 401:  # some servers repeat parts of the key
            return ModelUnavailable(f"{url} does not accept the key (status 401); put one into OPENAI_API_KEY")
        if status == 403:
            return ModelUnavailable(f"{url} refuses us (status 403: {said}); is the right key in OPENAI_API_KEY?")
        if 300 <= status < 400:
            there = _without_secrets(headers.get("Location", ""))
            return ModelUnavailable(
                f"{url} sends us on to {there!r} (status {status}); if you trust it, name that address"
            )
        known = f"its models are {', '.join(names[:10])}" if names else f"`curl {url}/models` lists its models"
        return ModelUnavailable(
            f"{url}/{self._endpoint} does not answer for the model {self._model!r} (status {status}: {said}); {known}; "
            "an address usually ends with /v1, and a model of conversations is named NAME@chat"
        )

    # -----------------------------------------------------------------------------------------------------------------
    # One request
    # -----------------------------------------------------------------------------------------------------------------

    def _answer(self, request: Request, sampling: Sampling, stop: threading.Event) -> Completion | Fault:
        chance = random.Random(request.seed)
        reason = "it was not asked"
        for attempt in range(self._max_attempts):
            if stop.is_set():
                return self._fault(request, f"closed before there was an answer ({reason})")
            try:
                return self._attempt(request, sampling)
            except Again as error:
                reason = str(error)
                if attempt + 1 < self._max_attempts and not stop.is_set():
                    self._count(retries=1)
                    (self._sleep or stop.wait)(wait_s(attempt, chance, error.after_s))
        if not stop.is_set():
            self._lose_patience(reason)
        return self._fault(request, f"{reason}; {self._max_attempts} attempts")

    def _attempt(self, request: Request, sampling: Sampling) -> Completion | Fault:
        """
        Raises:
            Again: another attempt may succeed.
            ModelUnavailable: every request would meet this.
        """
        self._count(requests=1)
        status, headers, data = self._server.ask("POST", self._endpoint, self._body(request, sampling))
        said = f"status {status}: {self._server.message(data)}" if not 200 <= status < 300 else ""
        if _passes(status):
            raise Again(said, after_s=asked_wait_s(headers.get("Retry-After"), self._clock()))
        if said:
            # A server that has answered others refuses this one for what it says, for example.
            if self._heard_s is None and (status in _HOPELESS or 300 <= status < 400):
                raise self._unavailable(status, headers, data)
            self._hear()
            return self._fault(request, said)
        answer = _decoded(data)
        completion = self._completion(request, sampling, answer)
        self._hear(answer.get("system_fingerprint"))
        return completion

    def _body(self, request: Request, sampling: Sampling) -> dict[str, Any]:
        body = self._prompt(request.prompt) | {
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "n": 1,
            "seed": folded_seed(request.seed),
        }
        if sampling.top_k:  # not OpenAI's, but understood by the servers that people run themselves
            body["top_k"] = sampling.top_k
        stops = sent_stops(sampling.stops)
        if stops:
            body["stop"] = list(stops)
        return body

    def _prompt(self, text: str) -> dict[str, Any]:
        if self._chat:
            return {"model": self._model, "messages": [{"role": "user", "content": text}]}
        return {"model": self._model, "prompt": text}

    def _completion(self, request: Request, sampling: Sampling, answer: Mapping[str, Any]) -> Completion | Fault:
        choice = _first_choice(answer)
        num_tokens = _num_tokens(answer)
        said = choice.get("finish_reason")
        if said not in _FINISH:
            return self._fault(request, f"the server ended the answer for the reason {said!r}")
        text = self._text(choice, num_tokens)
        cut = min((place for place in map(text.find, sampling.stops) if place >= 0), default=None)
        self._count(completions=1, tokens=num_tokens or 0)
        return Completion(
            task_id=request.task_id,
            index=request.index,
            text=text[:cut],
            finish_reason=_FINISH[said] if cut is None else "stop",
            num_tokens=num_tokens,
        )

    def _text(self, choice: Mapping[str, Any], num_tokens: int | None) -> str:
        message = choice.get("message") if self._chat else choice
        if not isinstance(message, dict):
            raise Again("an answer without a completion")
        text = message.get("content" if self._chat else "text")
        if text is None and self._chat and num_tokens:
            return ""  # all its tokens went into thoughts that are no part of the answer
        if not isinstance(text, str):
            raise Again("an answer without a text")
        return text

    # -----------------------------------------------------------------------------------------------------------------
    # Counts
    # -----------------------------------------------------------------------------------------------------------------

    def _count(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def _hear(self, fingerprint: object = None) -> None:
        with self._lock:
            self._heard_s = self._clock()
            if isinstance(fingerprint, str) and fingerprint:
                self._fingerprints[fingerprint] = self._fingerprints.get(fingerprint, 0) + 1

    def _fault(self, request: Request, reason: str) -> Fault:
        self._count(faults=1)
        return Fault(task_id=request.task_id, index=request.index, reason=reason)

    def _lose_patience(self, reason: str) -> None:
        with self._lock:
            silent_s = self._clock() - max(self._since_s, self._heard_s or 0.0)
        if silent_s > PATIENCE_S:
            raise ModelUnavailable(
                f"{self._server.base_url} has answered nothing for {silent_s / 60:.0f} minutes (last: {reason}); "
                "when it is well again, type the same command again"
            )


# ---------------------------------------------------------------------------------------------------------------------
# Texts and numbers of the protocol
# ---------------------------------------------------------------------------------------------------------------------


def folded_seed(seed: int) -> int:
    """`SEED_BITS` bits in which every bit of the seed has a say."""
    folded = 0
    while seed:
        folded ^= seed & ((1 << SEED_BITS) - 1)
        seed >>= SEED_BITS
    return folded


def sent_stops(stops: Sequence[str]) -> tuple[str, ...]:
    """The stop strings that the server may look for, at most `MAX_STOPS`; all of them are looked for here again.

    A server that ends a text at one stop string takes away what another one that overlaps it needs to be seen. So one
    that can begin inside another is not sent.
    """
    return tuple(stop for stop in stops if not any(_begins_inside(stop, other) for other in stops))[:MAX_STOPS]


def _begins_inside(stop: str, other: str) -> bool:
    rests = (other[place:] for place in range(1, len(other)))
    return any(rest.startswith(stop) or stop.startswith(rest) for rest in rests)


def _passes(status: int) -> bool:
    return status in _BUSY or status >= 500


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Again(f"an answer that is no JSON ({error})") from None
    if not isinstance(answer, dict):
        raise Again("an answer without a completion")
    return answer


def _first_choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Again("an answer without a completion")
    return choices[0]


def _num_tokens(answer: Mapping[str, Any]) -> int | None:
    usage = answer.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and count >= 0 else None


def _names(data: bytes) -> list[str]:
    """The models that a server lists; none where it lists none that can be read."""
    try:
        models = _decoded(data).get("data")
    except Again:
        return []
    rows = models if isinstance(models, list) else []
    return [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _without_secrets(url: str) -> str:
    """An address without user, password, query and fragment."""
    address = url.split("?")[0].split("#")[0]
    scheme, separator, rest = address.rpartition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


# ---------------------------------------------------------------------------------------------------------------------
# Requests in flight
# ---------------------------------------------------------------------------------------------------------------------


class _Call:
    """One `generate`: its threads, and how they are ended.

    Args:
        concurrency: threads.
        answer: never waits long once the event is set.
    """

    def __init__(self, concurrency: int, answer: Callable[[Request, threading.Event], Completion | Fault]) -> None:
        self.stop = threading.Event()
        self._concurrency = concurrency
        self._answer = answer
        self._threads = concurrent.futures.ThreadPoolExecutor(concurrency, thread_name_prefix="openai")
        self._idle = threading.Condition()
        self._busy = 0

    def answers(self, requests: Sequence[Request]) -> Iterator[Completion | Fault]:
        waiting: _Answers = set()
        for request in requests:
            while len(waiting) >= 2 * self._concurrency:
                done, waiting = _some_done(waiting)
                yield from (future.result() for future in done)
            waiting.add(self._submitted(request))
        while waiting:
            done, waiting = _some_done(waiting)
            yield from (future.result() for future in done)

    def _submitted(self, request: Request) -> concurrent.futures.Future[Completion | Fault]:
        try:
            return self._threads.submit(self._run, request)
        except RuntimeError:  # ended meanwhile
            answered: concurrent.futures.Future[Completion | Fault] = concurrent.futures.Future()
            answered.set_result(self._answer(request, self.stop))
            return answered

    def _run(self, request: Request) -> Completion | Fault:
        with self._idle:
            self._busy += 1
        try:
            return self._answer(request, self.stop)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def end(self, hang_up: Callable[[], None]) -> None:
        """Ends all threads, those that wait for the server too; when this returns there are none."""
        self.stop.set()
        with self._idle:
            while self._busy:
                hang_up()  # again and again: a connection may just have come about
                self._idle.wait(0.05)
        self._threads.shutdown()


_Answers = set[concurrent.futures.Future[Completion | Fault]]


def _some_done(waiting: _Answers) -> tuple[_Answers, _Answers]:
    """Those that are done, as soon as there is one, or none after a while; and the others.

    It never waits for long: an interrupt that another thread has taken, or that comes just before the waiting begins,
    is noticed only by whoever wakes up.
    """
    return concurrent.futures.wait(waiting, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED)


_Reply = tuple[int, Mapping[str, str], bytes]
"""(status, headers, body)"""


class _Server:
    """One server, its connections, and the secrets that it alone is told.

    Raises:
        ValueError: the key cannot be sent.
    """

    def __init__(self, base_url: str, api_key: str | None, *, connections: int, timeout_s: float) -> None:
        parts = urlsplit(base_url)
        self.base_url = _without_secrets(base_url).rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._secrets = [secret for secret in self._authorize(parts.username, parts.password, api_key) if secret]
        self._path = urlsplit(self.base_url).path
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        self._pool = urllib3.connection_from_url(
            self.base_url,
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=timeout_s),
        )
        self._watch_sockets()

    def _authorize(self, user: str | None, password: str | None, api_key: str | None) -> list[str]:
        """Sets the header that lets us in; what of it must not be shown."""
        if user or password:
            user, password = unquote(user or ""), unquote(password or "")
            basic = urllib3.make_headers(basic_auth=f"{user}:{password}")["authorization"]
            self._headers["Authorization"] = basic
            return [password, basic.partition(" ")[2]]
        key = (api_key or "").strip()
        if not key:
            return []
        if not (key.isascii() and key.isprintable()):
            raise ValueError("the key in OPENAI_API_KEY has characters that no header can carry; type it anew")
        self._headers["Authorization"] = f"Bearer {key}"
        return [key]

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> _Reply:
        """The server's reply. Redirections are not followed: the key is for this server.

        Raises:
            Again: none came.
        """
        try:
            reply = self._pool.urlopen(
                method,
                f"{self._path}/{path}",
                body=None if body is None else json.dumps(body).encode(),
                headers=self._headers,
                redirect=False,
            )
            return reply.status, reply.headers, reply.data
        except urllib3.exceptions.HTTPError as error:
            raise Again(self._shown(_reason(error))) from None

    def message(self, data: bytes) -> str:
        """What the server says is wrong, in one line."""
        text = data.decode(errors="replace")
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(text)
            while isinstance(said, dict) and (said.get("error") or said.get("message")):
                said = said.get("error") or said["message"]
            text = said if isinstance(said, str) else text
        return self._shown(" ".join(text.split()))[:300]

    def _shown(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def hang_up(self) -> None:
        """Ends whatever waits on a connection now."""
        with self._lock:
            for each in list(self._sockets):
                _shut(each)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.hang_up()
        self._pool.close()

    def _watch_sockets(self) -> None:
        """Remembers every socket: to close a connection does not wake the thread that waits on it, to shut its socket
        does."""
        plain = self._pool.ConnectionCls

        def connect(connection: Any) -> None:
            plain.connect(connection)
            with self._lock:
                self._sockets.add(connection.sock)
                if self._closed:
                    _shut(connection.sock)

        self._pool.ConnectionCls = type("WatchedConnection", (plain,), {"connect": connect})


def _shut(connected: socket.socket) -> None:
    # Not the method of an encrypted socket, which forgets the encryption under the feet of the thread that reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """An exception of the HTTP library, without the object that it begins with."""
    return f"{type(error).__name__}: {_OBJECT.sub('', str(error))}"


_OBJECT = re.compile(r"^<?[\w.]*Connection[\w.]*(\([^)]*\)| object at \w+>?): ")
