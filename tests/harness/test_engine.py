from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.engine import ATTEMPTS, IN_FLIGHT, Batch, Engine, LocalEngine, Outcome, SerialEngine, build_worker

SLOTS = Path(__file__).parent / "slots"
TOY = "engine_workers:Toy"
SOCKET_BYTES = 1 << 20
"""More than any socket buffer takes without a reader."""


@pytest.fixture(autouse=True)
def importable_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SLOTS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], LocalEngine]]:
    """Starts local engines, and closes them after the test."""
    engines = []

    def build(slots: int) -> LocalEngine:
        engines.append(LocalEngine(TOY, {"marks": str(tmp_path)}, slots=slots))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


def batches_of(parts: list[dict[str, Any]], size: int, **choices: Any) -> list[Batch]:
    return [
        Batch(shared={"plus": 1}, parts=parts[first : first + size], **choices) for first in range(0, len(parts), size)
    ]


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"number": number} for number in range(count)]


def answers(engine: Engine, batches: Iterable[Batch]) -> dict[int, Any]:
    """number -> square, each number exactly once."""
    found: dict[int, Any] = {}
    for outcome in engine.run(batches):
        assert outcome.part["number"] not in found
        found[outcome.part["number"]] = outcome.value and outcome.value["square"]
    return found


def squares(count: int) -> dict[int, int]:
    return {number: number**2 + 1 for number in range(count)}


def test_serial_work_has_one_outcome_for_every_part_in_order() -> None:
    with closing(SerialEngine(TOY, {})) as engine:
        outcomes = list(engine.run(batches_of(numbers(10), 3)))
    assert [outcome.part["number"] for outcome in outcomes] == list(range(10))
    assert [outcome.value and outcome.value["square"] for outcome in outcomes] == list(squares(10).values())


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_any_number_of_slots_gives_the_answers_of_serial_work(
    start: Callable[[int], LocalEngine], slots: int, size: int
) -> None:
    assert answers(start(slots), batches_of(numbers(100), size)) == squares(100)


def test_one_engine_runs_one_list_of_batches_after_another(start: Callable[[int], LocalEngine]) -> None:
    engine = start(2)
    for count in (5, 0, 20):
        assert answers(engine, batches_of(numbers(count), 4)) == squares(count)


def test_there_is_no_batch_without_parts_to_wait_for() -> None:
    with pytest.raises(AssertionError, match="without parts"):
        Batch(shared={}, parts=[])


def test_a_part_that_kills_its_slot_once_is_tried_again_and_succeeds(start: Callable[[int], LocalEngine]) -> None:
    parts = [{**part, "kind": "die once" if part["number"] % 5 == 2 else ""} for part in numbers(20)]
    assert answers(start(2), batches_of(parts, 4)) == squares(20)


def test_a_part_that_was_tried_again_says_how_often(start: Callable[[int], LocalEngine]) -> None:
    parts = [{"number": 0}, {"number": 1, "kind": "die once"}, {"number": 2}]
    attempts = {outcome.part["number"]: outcome.attempts for outcome in start(1).run(batches_of(parts, 3))}
    assert attempts == {0: 1, 1: 2, 2: 1}


def test_a_part_that_always_kills_its_slot_has_no_value_after_three_attempts(
    start: Callable[[int], LocalEngine],
) -> None:
    (outcome,) = start(1).run([Batch(shared={}, parts=[{"number": 0, "kind": "die"}])])
    assert (outcome.value, outcome.attempts) == (None, ATTEMPTS) == (None, 3)


@pytest.mark.parametrize("place", [0, 3, 7])
def test_the_other_parts_of_a_deadly_batch_are_all_answered(start: Callable[[int], LocalEngine], place: int) -> None:
    parts = [{**part, "kind": "die" if part["number"] == place else ""} for part in numbers(8)]
    assert answers(start(2), batches_of(parts, 8)) == {**squares(8), place: None}


def test_batches_that_waited_behind_a_deadly_part_are_all_answered(start: Callable[[int], LocalEngine]) -> None:
    parts = [{**part, "kind": "die" if part["number"] == 0 else ""} for part in numbers(12)]
    assert answers(start(1), batches_of(parts, 2)) == {**squares(12), 0: None}


def test_a_deadly_part_in_every_batch_takes_no_other_part_with_it(start: Callable[[int], LocalEngine]) -> None:
    deadly = {number for number in range(20) if number % 4 == 1}
    parts = [{**part, "kind": "die" if part["number"] in deadly else ""} for part in numbers(20)]
    assert answers(start(3), batches_of(parts, 4)) == {**squares(20), **dict.fromkeys(deadly)}


def test_deadly_parts_do_not_set_back_one_anothers_count(start: Callable[[int], LocalEngine]) -> None:
    parts = [{**part, "kind": "die"} for part in numbers(20)]
    outcomes = list(start(2).run(batches_of(parts, 3)))
    assert [(outcome.value, outcome.attempts) for outcome in outcomes] == [(None, ATTEMPTS)] * 20


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(["", "", "", "die"]), max_size=12), size=st.integers(1, 5))
def test_whatever_kills_its_slot_every_part_has_exactly_one_outcome(
    shared_engine: LocalEngine, kinds: list[str], size: int
) -> None:
    parts = [{"number": number, "kind": kind} for number, kind in enumerate(kinds)]
    expected = {number: None if kind else number**2 + 1 for number, kind in enumerate(kinds)}
    assert answers(shared_engine, batches_of(parts, size)) == expected


@pytest.fixture
def shared_engine(start: Callable[[int], LocalEngine]) -> LocalEngine:
    return start(2)


@pytest.mark.parametrize("seed", range(6))
def test_slots_killed_from_outside_lose_nothing(start: Callable[[int], LocalEngine], seed: int) -> None:
    rng = random.Random(seed)
    moments = rng.sample(range(1, 200), ATTEMPTS - 1)  # one death more, and a part could have met with all of them
    engine = start(3)
    found: dict[int, Any] = {}
    for outcome in engine.run(iter(batches_of(numbers(200), 5))):
        assert outcome.part["number"] not in found
        found[outcome.part["number"]] = outcome.value and outcome.value["square"]
        if len(found) in moments:
            os.kill(rng.choice(engine._slots).process.pid, signal.SIGKILL)
    assert found == squares(200)


def test_slots_killed_while_they_start_lose_nothing(start: Callable[[int], LocalEngine]) -> None:
    engine = start(2)
    for slot in engine._slots:
        os.kill(slot.process.pid, signal.SIGKILL)
    assert answers(engine, batches_of(numbers(10), 3)) == squares(10)


def test_a_slot_that_hangs_is_replaced_when_patience_ends(start: Callable[[int], LocalEngine]) -> None:
    parts = [{**part, "kind": "hang once" if part["number"] == 3 else ""} for part in numbers(8)]
    assert answers(start(2), batches_of(parts, 4, patience_s=0.5)) == squares(8)


def test_a_stopped_slot_is_replaced_when_patience_ends(start: Callable[[int], LocalEngine]) -> None:
    engine = start(2)
    assert answers(engine, batches_of(numbers(4), 1)) == squares(4)
    os.kill(engine._slots[0].process.pid, signal.SIGSTOP)
    assert answers(engine, batches_of(numbers(8), 2, patience_s=0.5)) == squares(8)


@pytest.mark.parametrize("slots", [1, 2])
def test_batches_bigger_than_the_socket_buffer_do_not_hang(start: Callable[[int], LocalEngine], slots: int) -> None:
    parts = [{**part, "filling": "y" * SOCKET_BYTES} for part in numbers(8)]
    assert answers(start(slots), batches_of(parts, 2)) == squares(8)


def test_answers_bigger_than_the_socket_buffer_do_not_hang(start: Callable[[int], LocalEngine]) -> None:
    parts = [{**part, "answer_bytes": SOCKET_BYTES} for part in numbers(12)]
    assert answers(start(2), batches_of(parts, 3)) == squares(12)


def test_big_answers_to_batches_that_just_fit_the_buffer_do_not_hang(start: Callable[[int], LocalEngine]) -> None:
    parts = [{**part, "filling": "y" * 60_000, "answer_bytes": SOCKET_BYTES} for part in numbers(12)]
    assert answers(start(2), batches_of(parts, 1)) == squares(12)


def test_nothing_of_a_big_part_is_lost_on_the_way(start: Callable[[int], LocalEngine]) -> None:
    part = {"number": 0, "filling": "y" * SOCKET_BYTES, "answer_bytes": SOCKET_BYTES}
    (outcome,) = start(1).run([Batch(shared={}, parts=[part])])
    assert outcome.value is not None
    assert (outcome.value["heard"], len(outcome.value["filling"])) == (SOCKET_BYTES, SOCKET_BYTES)


@pytest.mark.parametrize("slots", [1, 3])
def test_batches_are_drawn_only_as_slots_have_room(start: Callable[[int], LocalEngine], slots: int) -> None:
    drawn = 0

    def draw() -> Iterator[Batch]:
        nonlocal drawn
        for batch in batches_of(numbers(60), 1):
            drawn += 1
            yield batch

    for answered, _ in enumerate(start(slots).run(draw())):
        assert drawn - answered <= slots * IN_FLIGHT


def test_close_leaves_no_slot_behind(tmp_path: Path, tools: Any) -> None:
    engine = LocalEngine(TOY, {"marks": str(tmp_path)}, slots=3)
    pids = {slot.process.pid for slot in engine._slots}
    parts = [{**part, "kind": "die once" if part["number"] == 2 else ""} for part in numbers(9)]
    answers(engine, batches_of(parts, 3))
    pids |= {slot.process.pid for slot in engine._slots}
    assert len(pids) == 4
    engine.close()
    tools.wait_until(lambda: not any(map(exists, pids)), "the slots to be gone")


def test_close_ends_slots_that_hang(tmp_path: Path, tools: Any) -> None:
    engine = LocalEngine(TOY, {"marks": str(tmp_path)}, slots=2)
    pids = [slot.process.pid for slot in engine._slots]
    work = engine.run([Batch(shared={}, parts=[{"number": 0}, {"number": 1, "kind": "hang"}])])
    assert next(work).part["number"] == 0
    engine.close()
    tools.wait_until(lambda: not any(map(exists, pids)), "the slots to be gone")


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def look(slots: int) -> list[Outcome]:
    with closing(LocalEngine("engine_workers:Look", {}, slots=slots)) as engine:
        return list(engine.run([Batch(shared={}, parts=[{}]) for _ in range(4 * slots)]))


def test_a_slot_that_judges_imports_nothing_heavy() -> None:
    (value,) = [outcome.value for outcome in look(1)][:1]
    assert value is not None
    loaded = {name.split(".")[0] for name in value["modules"]}
    assert not loaded & {"numpy", "scipy", "torch", "datasets", "pandas", "pyarrow", "matplotlib", "docker", "ray"}


def test_all_slots_hash_text_alike_so_that_sets_have_one_order() -> None:
    hashes = {outcome.value["hash"] for outcome in look(2) if outcome.value}
    assert len(hashes) == 1


def test_the_environment_of_the_driver_is_as_it_was_after_the_slots_have_started(
    start: Callable[[int], LocalEngine],
) -> None:
    before = dict(os.environ)
    start(2)
    assert dict(os.environ) == before


def test_an_interrupt_during_serial_work_waits_until_the_part_is_done(tmp_path: Path) -> None:
    settings = {"answers": str(tmp_path / "answers")}
    with closing(SerialEngine("engine_workers:Interrupted", settings)) as engine, pytest.raises(KeyboardInterrupt):
        list(engine.run([Batch(shared={}, parts=[{}, {}])]))
    assert (tmp_path / "answers").read_text() == "came to its end\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_engine_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 worker is needed, not 0"):
        LocalEngine(TOY, {}, slots=0)


def test_a_worker_is_found_by_module_and_class(tmp_path: Path) -> None:
    worker = build_worker(TOY, {"marks": str(tmp_path)})
    assert worker.handle({}, {"number": 3})["square"] == 9
