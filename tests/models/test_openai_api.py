"""A model behind HTTP: what fails on the way is tried again, and never becomes an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from loopback_server import Server, serving

from models.backend import Completion, Fault, ModelUnavailable, Request, Sampling
from models.catalog import Options, open_model
from models.openai_api import OpenAIBackend

SAMPLING = Sampling(temperature=0.8, top_p=0.9, max_new_tokens=50)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


def requests(count: int) -> list[Request]:
    return [Request(task_id=f"t{i}", index=i % 3, prompt=f"prompt {i}", seed=(1 << 40) + i) for i in range(count)]


def asked(
    server: Server, count: int = 4, sampling: Sampling = SAMPLING, **how: Any
) -> tuple[dict[str, Completion | Fault], list[float]]:
    """The answers by task, and what was waited for."""
    waited: list[float] = []
    backend = OpenAIBackend(server.url, "m", **{"sleep": waited.append, **how})
    answers = {answer.task_id: answer for answer in backend.generate(requests(count), sampling)}
    assert len(answers) == count
    return answers, waited


def texts(answers: dict[str, Completion | Fault]) -> dict[str, str]:
    return {task_id: answer.text for task_id, answer in answers.items() if isinstance(answer, Completion)}


def test_every_request_is_answered_with_its_own_seed(server: Server) -> None:
    answers, _ = asked(server, 20)
    for request in requests(20):
        answer = answers[request.task_id]
        assert isinstance(answer, Completion)
        assert answer.text == f"{request.prompt}|{request.seed & 0x7FFFFFFF}|END and more"
        assert answer.index == request.index
        assert answer.num_tokens == len(answer.text)
        assert answer.finish_reason == "length"


def test_answers_do_not_depend_on_how_many_are_in_flight(server: Server) -> None:
    one, many = (asked(server, 40, concurrency=count)[0] for count in (1, 13))
    assert one == many


def test_no_more_requests_are_in_flight_than_was_said(server: Server) -> None:
    server.delay_s = 0.01
    asked(server, 60, concurrency=5)
    assert 1 < server.most_busy <= 5


def test_a_hundred_at_once_are_answered(server: Server) -> None:
    assert len(texts(asked(server, 200, concurrency=100)[0])) == 200


def test_what_is_asked_for_is_what_the_protocol_calls_it(server: Server) -> None:
    asked(server, 1, Sampling(temperature=0.3, top_p=0.5, top_k=7, max_new_tokens=9, stops=("a", "b")))
    assert server.bodies[0] == {
        "model": "m", "prompt": "prompt 0", "max_tokens": 9, "temperature": 0.3, "top_p": 0.5, "top_k": 7, "n": 1,
        "stop": ["a", "b"], "seed": (1 << 40) & 0x7FFFFFFF,
    }  # fmt: skip


def test_a_conversation_has_the_prompt_as_its_message(server: Server) -> None:
    answers, _ = asked(server, 2, chat=True)
    assert server.bodies[0]["messages"][0]["role"] == "user"
    assert len(texts(answers)) == 2


def test_stop_strings_beyond_the_protocols_four_are_found_here(server: Server) -> None:
    stops = ("never", "no", "nor", "not", " and")
    answers, _ = asked(server, 2, Sampling(stops=stops))
    assert server.bodies[0]["stop"] == list(stops[:4])
    for answer in answers.values():
        assert isinstance(answer, Completion)
        assert answer.text.endswith("|END")
        assert answer.finish_reason == "stop"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_tried_again(server: Server, status: int) -> None:
    server.script = lambda body, attempt: (status, {}, {"error": "busy"}) if attempt < 2 else None
    answers, waited = asked(server)
    assert len(texts(answers)) == 4
    assert len(waited) == 8
    assert all(0 < seconds < 2 for seconds in waited)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("Thu, 01 Jan 1970 00:20:05 GMT", 5.0), ("3600", 60.0)]
)
def test_the_wait_that_a_server_asks_for_is_kept_within_reason(server: Server, header: str, seconds: float) -> None:
    server.script = lambda body, attempt: None if attempt else (429, {"Retry-After": header}, {})
    _, waited = asked(server, 1, now=lambda: 1200.0)
    assert waited == [seconds]


def test_waits_grow_and_are_the_same_for_the_same_seed(server: Server) -> None:
    server.script = lambda body, attempt: (503, {}, {})
    _, waited = asked(server, 1, attempts=6)
    assert waited == asked(server, 1, attempts=6)[1]
    assert waited[-1] > 4 * waited[0]


TROUBLES: dict[str, Any] = {
    "no JSON": lambda body, attempt: (200, {}, b"<html>"),
    "no completion": lambda body, attempt: (200, {}, {"choices": []}),
    "another form": lambda body, attempt: (200, {}, [1, 2]),
    "half an answer": lambda body, attempt: (-200, {}, b'{"choices": [{"te'),
    "always busy": lambda body, attempt: (503, {}, {"error": {"message": "overloaded"}}),
}


@pytest.mark.parametrize("script", TROUBLES.values(), ids=TROUBLES)
def test_what_never_gets_better_is_a_fault_and_no_answer(server: Server, script: Any) -> None:
    server.script = script
    answers, waited = asked(server, 2, attempts=3)
    for answer in answers.values():
        assert isinstance(answer, Fault)
        assert "3 attempts" in answer.reason
    assert len(waited) == 4


@pytest.mark.parametrize("script", TROUBLES.values(), ids=TROUBLES)
def test_what_gets_better_is_an_answer(server: Server, script: Any) -> None:
    server.script = lambda body, attempt: script(body, attempt) if attempt == 0 else None
    assert len(texts(asked(server, 2)[0])) == 2


def test_a_server_that_is_too_slow_is_tried_again(server: Server) -> None:
    server.delay_s = 0.5
    answers, _ = asked(server, 1, timeout_s=0.05, attempts=2)
    assert isinstance(answers["t0"], Fault)
    assert len(server.bodies) == 2


def test_one_prompt_that_is_refused_stops_no_other(server: Server) -> None:
    too_long = (400, {}, {"error": {"message": "this model's maximum context length is 10 tokens"}})
    server.script = lambda body, attempt: too_long if body["prompt"] == "prompt 1" else None
    answers, waited = asked(server)
    assert isinstance(answers["t1"], Fault)
    assert "maximum context length" in answers["t1"].reason
    assert len(texts(answers)) == 3
    assert waited == []


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls", None])
def test_an_answer_that_ends_for_another_reason_is_no_answer(server: Server, reason: str | None) -> None:
    server.script = lambda body, attempt: (200, {}, {"choices": [{"text": "x", "finish_reason": reason}]})
    answers, _ = asked(server, 1)
    assert isinstance(answers["t0"], Fault)
    assert repr(reason) in answers["t0"].reason


@pytest.mark.parametrize(("status", "hint"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "'m'")])
def test_what_every_request_would_meet_ends_the_run_at_once(server: Server, status: int, hint: str) -> None:
    server.script = lambda body, attempt: (status, {}, {"error": {"message": "no"}})
    with pytest.raises(ModelUnavailable, match=hint):
        asked(server, 50)
    assert len(server.bodies) < 50


def test_the_key_is_sent_and_in_no_record(server: Server) -> None:
    backend = OpenAIBackend(server.url, "m", api_key="sk-secret", attempts=1, sleep=lambda seconds: None)
    list(backend.generate(requests(1), SAMPLING))
    assert server.headers[0]["Authorization"] == "Bearer sk-secret"
    server.script = lambda body, attempt: (500, {}, {"error": "x"})
    shown = [backend.facts(), backend.statistics(), backend, *backend.generate(requests(1), SAMPLING)]
    assert "sk-secret" not in str(shown)


def test_credentials_in_the_address_are_sent_and_in_no_record(server: Server) -> None:
    backend = OpenAIBackend(server.url.replace("://", "://user:geheim@"), "m")
    list(backend.generate(requests(1), SAMPLING))
    assert server.headers[0]["authorization"].startswith("Basic ")
    assert "geheim" not in str([backend.facts(), backend])


def test_a_redirection_is_not_followed(server: Server) -> None:
    server.script = lambda body, attempt: (307, {"Location": "http://127.0.0.1:1/"}, {})
    answers, _ = asked(server, 1)
    assert isinstance(answers["t0"], Fault)
    assert "307" in answers["t0"].reason


def test_an_empty_server_is_noticed_before_anything_is_asked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"openai:http://127.0.0.1:{free.getsockname()[1]}/v1#m"
        with pytest.raises(ModelUnavailable, match="nothing answers"):
            open_model(place, Options())


@pytest.mark.parametrize("place", ["http://x/v1", "#m", "ftp://x#m", "http://x/v1#", "localhost:8000#m"])
def test_a_place_that_names_no_server_and_model_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="does not name a server and a model"):
        open_model(f"openai:{place}", Options())


def test_whoever_stops_listening_leaves_no_thread_behind(server: Server) -> None:
    server.script = lambda body, attempt: (503, {"Retry-After": "60"}, {}) if body["prompt"] != "prompt 0" else None
    backend = OpenAIBackend(server.url, "m", concurrency=4)
    answers = backend.generate(requests(30), SAMPLING)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("openai")]


def test_statistics_count_and_name_the_servers_version(server: Server) -> None:
    server.script = lambda body, attempt: (503, {}, {}) if attempt == 0 else None
    backend = OpenAIBackend(server.url, "m", sleep=lambda seconds: None)
    answers = list(backend.generate(requests(3), SAMPLING))
    tokens = sum(answer.num_tokens or 0 for answer in answers if isinstance(answer, Completion))
    assert backend.statistics() == {
        "requests": 6, "retries": 3, "faults": 0, "tokens": tokens, "system_fingerprints": "fp_1"
    }  # fmt: skip
