"""A model behind HTTP: what fails on the way is tried again, and never becomes an answer."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_server import Reply, Server, serving

from models.backend import Completion, Fault, ModelUnavailable, Request, Sampling
from models.catalog import Options, open_model
from models.openai_api import PATIENCE_S, OpenAIBackend, folded_seed, parse_place, sent_stops
from models.retry import LONGEST_WAIT_S, asked_wait_s, wait_s

SAMPLING = Sampling(temperature=0.8, top_p=0.9, max_new_tokens=50)
SECRET = "sk-very-secret"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def requests(count: int) -> list[Request]:
    return [Request(task_id=f"t{i}", index=i % 3, prompt=f"prompt {i}", seed=1000 + i) for i in range(count)]


def opened(server: Server, **how: Any) -> OpenAIBackend:
    return OpenAIBackend(server.url, "m", **how)


def asked(
    server: Server, count: int = 4, sampling: Sampling = SAMPLING, **how: Any
) -> tuple[dict[str, Completion | Fault], list[float]]:
    """The answers by task, and what was waited for."""
    waited: list[float] = []
    backend = opened(server, **{"sleep": waited.append, **how})
    found = list(backend.generate(requests(count), sampling))
    backend.close()
    assert sorted(answer.task_id for answer in found) == sorted(request.task_id for request in requests(count))
    return {answer.task_id: answer for answer in found}, waited


def texts(answers: dict[str, Completion | Fault]) -> dict[str, str]:
    return {task_id: answer.text for task_id, answer in answers.items() if isinstance(answer, Completion)}


def only(answers: dict[str, Completion | Fault]) -> Completion:
    """The one answer there is, which is no fault."""
    (answer,) = answers.values()
    assert isinstance(answer, Completion)
    return answer


def reason(answers: dict[str, Completion | Fault], task_id: str = "t0") -> str:
    """Why there is no answer."""
    answer = answers[task_id]
    assert isinstance(answer, Fault)
    return answer.reason


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("openai")]


def with_choice(**choice: Any) -> Any:
    """A script whose answers have this choice."""
    return lambda body, attempt: (200, {}, {"choices": [choice], "usage": choice.pop("usage", None)})


# ---------------------------------------------------------------------------------------------------------------------
# What is asked and answered
# ---------------------------------------------------------------------------------------------------------------------


def test_every_request_is_answered_with_its_own_seed(server: Server) -> None:
    answers, _ = asked(server, 20)
    for request in requests(20):
        answer = answers[request.task_id]
        assert isinstance(answer, Completion)
        assert answer.text == f"{request.prompt}|{request.seed}|END and more"
        assert answer.index == request.index
        assert answer.num_tokens == len(answer.text)
        assert answer.finish_reason == "length"


def test_answers_do_not_depend_on_how_many_are_in_flight(server: Server) -> None:
    one, many, again = (asked(server, 40, concurrency=count)[0] for count in (1, 13, 13))
    assert one == many == again


def test_answers_do_not_depend_on_the_order_of_the_requests(server: Server) -> None:
    turned = {answer.task_id: answer for answer in opened(server).generate(requests(30)[::-1], SAMPLING)}
    assert turned == asked(server, 30)[0]


@pytest.mark.parametrize("concurrency", [1, 5, 100])
def test_just_as_many_requests_are_in_flight_as_was_said(server: Server, concurrency: int) -> None:
    together = threading.Barrier(concurrency)
    # Nobody gets an answer before that many wait for one.
    server.script = lambda body, attempt: together.wait(30) and None
    assert len(texts(asked(server, 2 * concurrency, concurrency=concurrency)[0])) == 2 * concurrency
    assert server.most_busy == concurrency


def test_what_is_asked_for_is_what_the_protocol_calls_it(server: Server) -> None:
    asked(server, 1, Sampling(temperature=0.3, top_p=0.5, top_k=7, max_new_tokens=9, stops=("a", "b")))
    assert server.paths == ["/v1/completions"]
    assert server.bodies[0] == {
        "model": "m", "prompt": "prompt 0", "max_tokens": 9, "temperature": 0.3, "top_p": 0.5, "top_k": 7, "n": 1,
        "stop": ["a", "b"], "seed": 1000,
    }  # fmt: skip


def test_what_is_not_openais_is_sent_only_where_it_is_wanted(server: Server) -> None:
    asked(server, 1)
    assert not {"top_k", "stop"} & server.bodies[0].keys()


def test_a_conversation_has_the_prompt_as_its_message(server: Server) -> None:
    answers, _ = asked(server, 2, chat=True)
    assert set(server.paths) == {"/v1/chat/completions"}
    assert server.bodies[0]["messages"][0]["role"] == "user"
    assert texts(answers)["t1"] == "prompt 1|1001|END and more"


@pytest.mark.parametrize("prompt", ["", "é\n\t\U0001f600", "\ud800"])
def test_any_text_can_be_a_prompt(server: Server, prompt: str) -> None:
    request = Request(task_id="t", index=0, prompt=prompt, seed=1)
    (answer,) = opened(server).generate([request], SAMPLING)
    assert isinstance(answer, Completion)
    assert answer.text.startswith(f"{prompt}|")


@given(st.integers(0, 2**63 - 1), st.integers(0, 62))
def test_every_bit_of_a_seed_has_a_say_in_the_31_that_are_sent(seed: int, bit: int) -> None:
    assert 0 <= folded_seed(seed) < 2**31
    assert folded_seed(seed) != folded_seed(seed ^ 1 << bit)


def test_the_facts_say_how_many_bits_of_seeds_are_sent(server: Server) -> None:
    assert opened(server).facts()["seed_bits"] == 31


# ---------------------------------------------------------------------------------------------------------------------
# Where a text ends
# ---------------------------------------------------------------------------------------------------------------------


def test_stop_strings_beyond_the_protocols_four_are_found_here(server: Server) -> None:
    stops = ("never", "Z", "Q", "X", " and")
    answer = only(asked(server, 1, Sampling(stops=stops))[0])
    assert server.bodies[0]["stop"] == list(stops[:4])
    assert answer.text.endswith("|END")
    assert answer.finish_reason == "stop"


def test_a_server_that_ignores_stop_strings_does_no_harm(server: Server) -> None:
    server.script = with_choice(text="def f():\n    pass\nclass A", finish_reason="length")
    answer = only(asked(server, 1, Sampling(stops=("\nclass", "\ndef")))[0])
    assert answer.text == "def f():\n    pass"
    assert answer.finish_reason == "stop"


TEXT = st.text("ab", max_size=12)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=7)


@given(TEXT, STOPS, st.randoms(use_true_random=False))
def test_a_server_that_stops_by_what_it_is_sent_takes_nothing_from_the_text(
    text: str, stops: list[str], chance: random.Random
) -> None:
    found = [stop for stop in sent_stops(stops) if stop in text]
    # Servers differ in which of several stop strings they see first.
    left = text[: text.find(chance.choice(found))] if found else text
    assert _cut(left, stops) == _cut(text, stops)


def _cut(text: str, stops: list[str]) -> str:
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


@given(STOPS)
def test_no_more_stop_strings_are_sent_than_the_protocol_takes(stops: list[str]) -> None:
    assert len(sent_stops(stops)) <= 4


def test_the_usual_stop_strings_are_all_sent() -> None:
    assert sent_stops(("\nclass", "\ndef", "\n#", "\nif")) == ("\nclass", "\ndef", "\n#", "\nif")


@pytest.mark.parametrize(("said", "means"), [("stop", "stop"), ("length", "length"), ("eos_token", "stop")])
def test_how_a_text_ended_is_what_the_server_says(server: Server, said: str, means: str) -> None:
    server.script = with_choice(text="x", finish_reason=said)
    assert only(asked(server, 1)[0]).finish_reason == means


@pytest.mark.parametrize("said", ["content_filter", "tool_calls", "odd", None])
def test_an_answer_that_ends_for_another_reason_is_no_answer(server: Server, said: str | None) -> None:
    server.script = with_choice(text="x", finish_reason=said)
    assert repr(said) in reason(asked(server, 1)[0])


def test_a_model_that_only_thought_has_answered_nothing(server: Server) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "hm"}
    server.script = lambda body, attempt: (
        200, {}, {"choices": [{"message": message, "finish_reason": "length"}], "usage": {"completion_tokens": 50}},
    )  # fmt: skip
    answer = only(asked(server, 1, chat=True)[0])
    assert (answer.text, answer.finish_reason, answer.num_tokens) == ("", "length", 50)


@pytest.mark.parametrize("usage", [None, [], {}, {"completion_tokens": "9"}, {"completion_tokens": -1}])
def test_a_server_need_not_count_tokens(server: Server, usage: Any) -> None:
    server.script = lambda body, attempt: (
        200, {}, {"choices": [{"text": "x", "finish_reason": "stop"}], "usage": usage}
    )  # fmt: skip
    assert only(asked(server, 1)[0]).num_tokens is None


# ---------------------------------------------------------------------------------------------------------------------
# What passes
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_passing_trouble_is_tried_again(server: Server, status: int) -> None:
    server.script = lambda body, attempt: (status, {}, {"error": "busy"}) if attempt < 2 else None
    answers, waited = asked(server)
    assert len(texts(answers)) == 4
    assert len(waited) == 8


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("3600", LONGEST_WAIT_S),
        ("Thu, 01 Jan 1970 00:20:05 GMT", 5.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_the_wait_that_a_server_asks_for_is_kept_within_reason(server: Server, header: str, seconds: float) -> None:
    server.script = lambda body, attempt: None if attempt else (429, {"Retry-After": header}, {})
    answers, waited = asked(server, 1, clock=lambda: 1200.0)
    assert waited == [seconds]
    assert len(texts(answers)) == 1


@pytest.mark.parametrize("header", [None, "", "soon", "Thu, 99 Foo 1970"])
def test_a_wait_that_cannot_be_read_is_none(header: str | None) -> None:
    assert asked_wait_s(header, 0.0) is None


@given(st.integers(0, 10**6), st.integers(), st.none() | st.floats(0))
def test_no_wait_is_longer_than_a_minute(attempt: int, seed: int, asked_s: float | None) -> None:
    assert 0 <= wait_s(attempt, random.Random(seed), asked_s) <= 60


def test_waits_grow_and_are_those_of_the_seed(server: Server) -> None:
    server.script = lambda body, attempt: (503, {}, {})
    _, waited = asked(server, 1)
    assert waited == asked(server, 1)[1]
    assert all(later > earlier for earlier, later in itertools.pairwise(waited[::2]))
    other = Request(task_id="t", index=0, prompt="prompt", seed=5)
    others: list[float] = []
    list(opened(server, sleep=others.append).generate([other], SAMPLING))
    assert len(others) == len(waited)
    assert not set(others) & set(waited)


TROUBLES: dict[str, Any] = {
    "no JSON": lambda body, attempt: (200, {}, b"<html>"),
    "deep JSON": lambda body, attempt: (200, {}, b"[" * 100_000),
    "no text": lambda body, attempt: (200, {}, b""),
    "no completion": lambda body, attempt: (200, {}, {"choices": []}),
    "another form": lambda body, attempt: (200, {}, [1, 2]),
    "a number as text": with_choice(text=3, finish_reason="stop"),
    "null as text": with_choice(text=None, finish_reason="stop"),
    "half an answer": lambda body, attempt: (-200, {}, b'{"choices": [{"te'),
    "always busy": lambda body, attempt: (503, {}, {"error": {"message": "overloaded"}}),
}


@pytest.mark.parametrize("script", TROUBLES.values(), ids=TROUBLES)
def test_what_never_gets_better_is_a_fault_and_no_answer(server: Server, script: Any) -> None:
    server.script = script
    answers, waited = asked(server, 2, max_attempts=3)
    assert "3 attempts" in reason(answers, "t0")
    assert "3 attempts" in reason(answers, "t1")
    assert len(waited) == 4
    assert len(server.bodies) == 6


@pytest.mark.parametrize("script", TROUBLES.values(), ids=TROUBLES)
def test_what_gets_better_is_an_answer(server: Server, script: Any) -> None:
    server.script = lambda body, attempt: script(body, attempt) if attempt == 0 else None
    assert len(texts(asked(server, 2)[0])) == 2


def test_a_conversation_without_content_or_tokens_is_tried_again(server: Server) -> None:
    nothing = {"choices": [{"message": {"content": None}, "finish_reason": "stop"}], "usage": {"completion_tokens": 0}}
    server.script = lambda body, attempt: None if attempt else (200, {}, nothing)
    assert only(asked(server, 1, chat=True)[0]).text.startswith("prompt 0")


def test_a_server_that_is_silent_for_too_long_is_asked_again(server: Server) -> None:
    server.script = lambda body, attempt: None if attempt else server.hold(body, attempt)
    answers, waited = asked(server, 1, timeout_s=0.2)
    assert len(texts(answers)) == 1
    assert len(waited) == 1


def test_a_server_that_has_gone_is_a_fault(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        answers, waited = asked(server, 1)
    assert "refused" in reason(answers)
    assert len(waited) == 5


def test_a_server_that_answers_nothing_for_long_ends_the_run(server: Server) -> None:
    minutes = itertools.count(0.0, PATIENCE_S)
    server.script = lambda body, attempt: (503, {}, {"error": {"message": "overloaded"}})
    with pytest.raises(ModelUnavailable, match="type the same command again"):
        asked(server, 50, clock=lambda: next(minutes))
    assert not threads()


# ---------------------------------------------------------------------------------------------------------------------
# What does not pass
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_prompt_that_is_refused_stops_no_other(server: Server, status: int) -> None:
    too_long = (status, {}, {"error": {"message": "this model's maximum\ncontext length is 10 tokens"}})
    server.script = lambda body, attempt: too_long if body["prompt"] == "prompt 1" else None
    answers, waited = asked(server)
    assert reason(answers, "t1") == f"status {status}: this model's maximum context length is 10 tokens"
    assert len(texts(answers)) == 3
    assert waited == []


@pytest.mark.parametrize(("status", "hint"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "'m'")])
def test_what_every_request_would_meet_ends_the_run_at_once(server: Server, status: int, hint: str) -> None:
    server.script = lambda body, attempt: (status, {}, {"error": {"message": "no"}})
    with pytest.raises(ModelUnavailable, match=hint):
        asked(server, 500, concurrency=2)
    assert len(server.bodies) < 10
    assert not threads()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_has_answered_others_refuses_only_this_one(server: Server, status: int) -> None:
    server.script = lambda body, attempt: (status, {}, {}) if body["prompt"] == "prompt 2" else None
    answers, _ = asked(server, concurrency=1)
    assert f"status {status}" in reason(answers, "t2")
    assert len(texts(answers)) == 3


def test_a_redirection_is_not_followed(server: Server) -> None:
    with serving() as other:
        server.script = lambda body, attempt: (307, {"Location": f"{other.url}/completions?token=x"}, {})
        with pytest.raises(ModelUnavailable, match=f"sends us on to '{other.url}/completions'"):
            asked(server, 1, api_key=SECRET)
        assert not other.headers


# ---------------------------------------------------------------------------------------------------------------------
# Secrets
# ---------------------------------------------------------------------------------------------------------------------


def shown(backend: OpenAIBackend) -> str:
    """All that a backend says, also of an error."""
    said: list[object] = [backend, backend.facts()]
    try:
        said += backend.generate(requests(3), SAMPLING)
    except ModelUnavailable as error:
        said += [error, error.__cause__, error.__context__]
    return f"{said} {backend.statistics()}"


TALKATIVE = [(status, form) for status in (200, 307, 400, 401, 403, 404, 500) for form in ("{}", "Bearer {}", "x {} y")]


@pytest.mark.parametrize(("status", "form"), TALKATIVE)
def test_a_key_is_sent_and_never_shown(server: Server, status: int, form: str) -> None:
    error = {"error": {"message": form.format(SECRET)}}
    server.script = lambda body, attempt: (status, {"Location": f"http://{SECRET}@x/?{SECRET}"}, error)
    backend = opened(server, api_key=f" {SECRET}\n", max_attempts=1)
    assert SECRET not in shown(backend)
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("status", [400, 403, 500])
def test_credentials_in_the_address_are_sent_in_place_of_the_key_and_never_shown(server: Server, status: int) -> None:
    server.script = lambda body, attempt: (status, {}, {"error": f"user:geh@im {server.headers[0]['Authorization']}"})
    backend = OpenAIBackend(
        server.url.replace("://", "://user:geh%40im@"), "m", api_key=SECRET, max_attempts=1, sleep=lambda _: None
    )
    said = shown(backend)
    assert server.headers[0]["Authorization"] == "Basic dXNlcjpnZWhAaW0="
    assert not [secret for secret in ("geh", "dXNlcjpnZWhAaW0=", SECRET) if secret in said]


@pytest.mark.parametrize("key", ["a\nb: c", "schlüssel", "a\x00b"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(server: Server, key: str) -> None:
    with pytest.raises(ValueError, match="OPENAI_API_KEY") as caught:
        opened(server, api_key=key)
    assert key not in str(caught.value)


def test_without_a_key_none_is_sent(server: Server) -> None:
    asked(server, 1)
    assert "Authorization" not in server.headers[0]


def test_the_key_is_taken_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    open_model(f"openai:{server.url}#m", Options()).close()
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"


# ---------------------------------------------------------------------------------------------------------------------
# Before the first token
# ---------------------------------------------------------------------------------------------------------------------


def test_a_model_that_is_listed_is_asked_nothing_before_the_run(server: Server) -> None:
    backend = open_model(f"openai:{server.url}#m", Options(batch_size=3))
    assert backend.facts()["model"] == f"openai:{server.url}#m"
    assert server.bodies == []
    backend.close()


def test_an_empty_port_is_noticed_before_anything_is_asked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"openai:http://127.0.0.1:{free.getsockname()[1]}/v1#m"
        with pytest.raises(ModelUnavailable, match=r"nothing answers at .*refused.*start the server"):
            open_model(place, Options())


@pytest.mark.parametrize("listing", [(404, {}, {}), (200, {}, {"data": []}), (200, {}, b"<html>"), (200, {}, {})])
@pytest.mark.parametrize("endpoint", ["", "@chat"])
def test_a_server_that_lists_no_models_is_asked_for_one_token(server: Server, listing: Any, endpoint: str) -> None:
    server.listing = lambda asked: listing
    open_model(f"openai:{server.url}#m{endpoint}", Options()).close()
    assert [body["max_tokens"] for body in server.bodies] == [1]


def test_a_model_that_is_not_there_is_refused_with_those_that_are(server: Server) -> None:
    server.script = lambda body, attempt: (404, {}, {"error": {"message": "unknown model"}})
    with pytest.raises(ModelUnavailable, match=r"'other' \(status 404: unknown model\); its models are m;"):
        open_model(f"openai:{server.url}#other", Options())


def test_an_address_that_serves_something_else_is_refused(server: Server) -> None:
    server.listing = lambda asked: (200, {}, b"<html>")
    server.script = lambda body, attempt: (200, {}, b"<html>")
    with pytest.raises(ModelUnavailable, match="does not speak OpenAI's protocol"):
        open_model(f"openai:{server.url}#m", Options())


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_noticed_before_anything_is_asked(server: Server, status: int) -> None:
    server.listing = lambda asked: (status, {}, {})
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY"):
        open_model(f"openai:{server.url}#m", Options())
    assert server.bodies == []


def test_a_server_that_loads_its_model_is_waited_for(server: Server) -> None:
    server.listing = lambda asked: (503, {}, {}) if asked < 3 else (200, {}, {"data": [{"id": "m"}]})
    waited: list[float] = []
    backend = opened(server, sleep=waited.append)
    backend.probe()
    assert len(waited) == 3
    server.listing = lambda asked: (503, {}, {"error": {"message": "Loading model"}})
    with pytest.raises(ModelUnavailable, match=r"status 503: Loading model"):
        backend.probe()


@pytest.mark.parametrize(
    ("place", "model", "chat"),
    [
        ("m", "m", False),
        ("m@chat", "m", True),
        ("m@chat@completions", "m@chat", False),
        ("a/b@1#c", "a/b@1#c", False),
        ("@chat", "@chat", False),
    ],
)
def test_a_place_says_which_model_is_asked_and_how(place: str, model: str, chat: bool) -> None:
    assert parse_place(f"https://x:1/v1#{place}") == ("https://x:1/v1", model, chat)


@pytest.mark.parametrize(
    "place",
    [
        "http://x/v1",
        "#m",
        "ftp://x#m",
        "http://x/v1#",
        "localhost:8000#m",
        "http://x:y/v1#m",
        "http://[::1/v1#m",
        "http://u:geheim@x:y/v1#m",
        "http://x/v1?key=geheim#m",
    ],
)
def test_a_place_that_names_no_server_and_model_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="takes the address of a server") as caught:
        open_model(f"openai:{place}", Options())
    assert "geheim" not in str(caught.value)


def test_an_address_of_version_six_and_a_slash_too_many_are_understood() -> None:
    facts = OpenAIBackend("http://user:pw@[::1]:8000/v1/", "m", chat=True).facts()
    assert facts["model"] == "openai:http://[::1]:8000/v1#m@chat"
    assert facts["endpoint"] == "chat/completions"


# ---------------------------------------------------------------------------------------------------------------------
# The end
# ---------------------------------------------------------------------------------------------------------------------


def test_whoever_stops_listening_leaves_no_thread_behind(server: Server) -> None:
    server.script = lambda body, attempt: None if body["prompt"] == "prompt 0" else server.hold(body, attempt)
    backend = opened(server, concurrency=4)
    answers = backend.generate(requests(30), SAMPLING)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert not threads()
    # Nobody waited for the server: what it held was not asked again.
    assert backend.statistics()["retries"] == 0
    assert not server.released.is_set()


def test_a_wait_for_the_next_attempt_ends_with_whoever_stops_listening(server: Server) -> None:
    backend = opened(server, concurrency=4)

    def answer_first_when_the_others_wait(body: dict[str, Any], attempt: int) -> Reply | None:
        if body["prompt"] != "prompt 0":
            return 503, {"Retry-After": "60"}, {}
        while backend.statistics()["retries"] < 3:
            server.released.wait(0.01)
        return None

    server.script = answer_first_when_the_others_wait
    answers = backend.generate(requests(30), SAMPLING)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert not threads()
    assert backend.statistics()["requests"] <= 5


def test_a_backend_can_be_asked_again_after_somebody_stopped_listening(server: Server) -> None:
    backend = opened(server, concurrency=2)
    answers = backend.generate(requests(30), SAMPLING)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len([one for one in backend.generate(requests(9), SAMPLING) if isinstance(one, Completion)]) == 9


def test_to_close_ends_what_is_in_flight_and_answers_the_rest_with_faults(server: Server) -> None:
    backend = opened(server, concurrency=4)
    waiting = threading.Barrier(4)

    def close_when_all_wait(body: dict[str, Any], attempt: int) -> None:
        if waiting.wait(30) == 0:
            threading.Thread(target=backend.close).start()
        server.hold(body, attempt)

    server.script = close_when_all_wait
    answers = list(backend.generate(requests(30), SAMPLING))
    assert {answer.task_id for answer in answers} == {request.task_id for request in requests(30)}
    assert all(isinstance(answer, Fault) and answer.reason.startswith("closed") for answer in answers)
    assert len(server.bodies) == 4


@pytest.mark.parametrize(
    "interrupt",
    [
        lambda: os.kill(os.getpid(), signal.SIGINT),
        # Which thread takes a signal is for the system to say; this one does not wake the main thread.
        lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT),
    ],
    ids=["process", "another thread"],
)
def test_an_interrupt_while_the_server_is_silent_leaves_no_thread_behind(
    server: Server, interrupt: Callable[[], None]
) -> None:
    waiting = threading.Barrier(4)

    def interrupt_when_all_wait(body: dict[str, Any], attempt: int) -> None:
        if waiting.wait(30) == 0:
            interrupt()
        server.hold(body, attempt)

    server.script = interrupt_when_all_wait
    with pytest.raises(KeyboardInterrupt):
        asked(server, 30, concurrency=4)
    assert not threads()
    assert len(server.bodies) == 4


def interrupted(backend: OpenAIBackend) -> None:
    for _ in backend.generate(requests(30), SAMPLING):
        raise KeyboardInterrupt


def test_an_interrupt_of_whoever_consumes_leaves_no_thread_behind(server: Server) -> None:
    server.script = lambda body, attempt: None if body["prompt"] == "prompt 0" else server.hold(body, attempt)
    with pytest.raises(KeyboardInterrupt):
        interrupted(opened(server, concurrency=4))
    assert not threads()


def test_to_close_between_two_answers_ends_the_threads_and_answers_the_rest_with_faults(server: Server) -> None:
    server.script = lambda body, attempt: None if body["prompt"] == "prompt 0" else server.hold(body, attempt)
    backend = opened(server, concurrency=4)
    answers = backend.generate(requests(30), SAMPLING)
    first = next(answers)
    assert threads()
    backend.close()
    assert not threads()
    rest = list(answers)
    assert {answer.task_id for answer in [first, *rest]} == {request.task_id for request in requests(30)}
    assert all(isinstance(answer, Fault) and answer.reason.startswith("closed") for answer in rest)


def test_statistics_add_up(server: Server) -> None:
    server.script = lambda body, attempt: (503, {}, {}) if attempt == 0 else None
    backend = opened(server, sleep=lambda seconds: None)
    answers = list(backend.generate(requests(3), SAMPLING))
    tokens = sum(answer.num_tokens or 0 for answer in answers if isinstance(answer, Completion))
    assert backend.statistics() == {
        "completions": 3, "tokens": tokens, "requests": 6, "retries": 3, "faults": 0,
        "system_fingerprints": {"fp_1": 3},
    }  # fmt: skip
