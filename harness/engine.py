"""Who does the work: one interface over this process and over slot processes of this machine.

Work comes in batches: what the parts share, and the parts. Each part has one outcome. Only the driver writes files;
slots are given plain JSON and give it back, so that work can be repeated, and a slot that dies costs one respawn and a
retry.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness import own_root

Json = dict[str, Any]

ATTEMPTS = 3
IN_FLIGHT = 2
"""Batches a slot holds at once: one in work and one waiting, so that it never idles for the driver."""
_NAP_S = 0.01
"""While every slot has another batch waiting, the driver looks only so often: to be woken by each answer would take the
processor from the programs."""
_WAITING_BYTES = 1 << 16
"""A waiting batch must fit the socket's buffer: if both ends wrote at once and neither read, both would hang."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Work for one slot."""

    shared: Json
    """What every part needs, sent once."""
    parts: Sequence[Json]
    patience_s: float = 600.0
    """A slot that answers no part for so long is taken for dead."""
    attempts: int = 0
    """How often a slot died over exactly this batch."""

    def __post_init__(self) -> None:
        assert self.parts, "a batch without parts would have no outcome, and be waited for"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one part."""

    shared: Json
    part: Json
    value: Json | None
    """The worker's answer; None where no slot survived it."""
    attempts: int


class Worker(Protocol):
    """What a slot runs. Named by `module:Class`, so that any process can build it."""

    def __init__(self, settings: Json) -> None: ...

    def handle(self, shared: Json, part: Json) -> Json:
        """The answer to one part."""
        ...

    def close(self) -> None:
        """Gives back what the worker holds."""
        ...


class Engine(Protocol):
    """Runs batches and yields an outcome for every part, in any order."""

    def run(self, batches: Iterable[Batch]) -> Iterator[Outcome]: ...

    def close(self) -> None: ...


def build_worker(reference: str, settings: Json) -> Worker:
    """The worker that `module:Class` names."""
    module, _, name = reference.partition(":")
    worker: Worker = getattr(importlib.import_module(module), name)(settings)
    return worker


class SerialEngine:
    """All work in this process, one part after the other; for debugging and very small runs."""

    def __init__(self, worker: str, settings: Json) -> None:
        self._worker = build_worker(worker, settings)

    def run(self, batches: Iterable[Batch]) -> Iterator[Outcome]:
        """Yields the outcomes in order."""
        for batch in batches:
            for part in batch.parts:
                with _interrupt_held_back():
                    value = self._worker.handle(batch.shared, part)
                yield Outcome(shared=batch.shared, part=part, value=value, attempts=1)

    def close(self) -> None:
        """Closes the worker."""
        self._worker.close()


@contextlib.contextmanager
def _interrupt_held_back() -> Iterator[None]:
    """Lets an interrupt take effect only after the block: inside, it would pass for an error of the program at work."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


class LocalEngine:
    """Slot processes on this machine, each watched and replaced when it dies.

    They come from a fork server, which must start before this process does any work with torch: a fork of a process
    with torch's threads deadlocks.
    """

    def __init__(self, worker: str, settings: Json, *, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"at least 1 worker is needed, not {slots}")
        self._new_slot: Callable[[], _Slot] = lambda: _Slot(worker, settings)
        with _slot_environment():
            self._slots = [self._new_slot() for _ in range(slots)]

    def run(self, batches: Iterable[Batch]) -> Iterator[Outcome]:
        """Yields outcomes as they come; batches are drawn only as slots have room for them."""
        from multiprocess.connection import wait

        source = iter(batches)
        retries: collections.deque[Batch] = collections.deque()
        while True:
            self._fill(source, retries)
            busy = {slot.connection: slot for slot in self._slots if slot.batches}
            if not busy:
                return
            for connection in wait(list(busy), timeout=1.0):
                yield from self._collect(busy[connection], retries)
            if all(len(slot.batches) > 1 for slot in busy.values()):
                time.sleep(_NAP_S)
            for slot in [slot for slot in busy.values() if slot.silent]:
                yield from self._replace(slot, retries)

    def _fill(self, source: Iterator[Batch], retries: collections.deque[Batch]) -> None:
        for depth in range(IN_FLIGHT):
            for slot in self._slots:
                if len(slot.batches) > depth:
                    continue
                batch = retries.popleft() if retries else next(source, None)
                if batch is None:
                    return
                if not slot.send(batch):
                    retries.append(batch)
                    return

    def _collect(self, slot: _Slot, retries: collections.deque[Batch]) -> Iterator[Outcome]:
        while slot.batches:
            try:
                answer = slot.receive()
            except (EOFError, OSError):
                yield from self._replace(slot, retries)
                return
            batch, part = slot.next_part()
            yield Outcome(shared=batch.shared, part=part, value=answer, attempts=batch.attempts + 1)
            if not slot.has_said_more:
                return

    def _replace(self, slot: _Slot, retries: collections.deque[Batch]) -> Iterator[Outcome]:
        """A slot died: the part it was at is suspect and tried again alone; the others are simply given out again."""
        left = slot.unfinished()
        slot.close()
        with _slot_environment():
            self._slots[self._slots.index(slot)] = self._new_slot()
        if not left:
            return
        (batch, suspect), *others = left
        attempts = batch.attempts + 1
        if attempts < ATTEMPTS:
            retries.append(replace(batch, parts=[suspect], attempts=attempts))
        else:
            yield Outcome(shared=batch.shared, part=suspect, value=None, attempts=attempts)
        # They keep their own count: were it set back, two deadly parts that wait for each other would go on for ever.
        retries.extend(replace(other, parts=[part]) for other, part in others)

    def close(self) -> None:
        """Ends every slot."""
        for slot in self._slots:
            slot.connection.close()  # all at once first, so that waiting for one is waiting for all
        for slot in self._slots:
            slot.close()


@dataclass(slots=True)
class _Work:
    """A batch in a slot, and how far it has come."""

    batch: Batch
    done: int = 0


@dataclass(slots=True, eq=False)
class _Slot:
    """One slot process, seen from the driver."""

    worker: str
    settings: Json
    batches: collections.deque[_Work] = field(default_factory=collections.deque)
    connection: Any = None
    process: Any = None
    heard_s: float = 0.0
    """When it last answered, or was given work after a rest."""

    def __post_init__(self) -> None:
        context = _context()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=slot_main, args=(theirs, self.worker, self.settings), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def silent(self) -> bool:
        """Whether it owes an answer for longer than anybody waits."""
        return bool(self.batches) and time.monotonic() - self.heard_s > self.batches[0].batch.patience_s

    def send(self, batch: Batch) -> bool:
        """Gives the slot a batch; False where it must be free first."""
        message = json.dumps([batch.shared, list(batch.parts)]).encode()
        if self.batches and len(message) > _WAITING_BYTES:
            return False
        if not self.batches:
            self.heard_s = time.monotonic()
        self.batches.append(_Work(batch))
        with contextlib.suppress(OSError):  # a dead slot is noticed when its answers are read
            self.connection.send_bytes(message)
        return True

    @property
    def has_said_more(self) -> bool:
        """Whether the next answer, or its end, is here already."""
        poller = select.poll()
        poller.register(self.connection.fileno(), select.POLLIN)
        return bool(poller.poll(0))

    def receive(self) -> Json:
        answer: Json = json.loads(self.connection.recv_bytes())
        self.heard_s = time.monotonic()
        return answer

    def next_part(self) -> tuple[Batch, Json]:
        work = self.batches[0]
        part = work.batch.parts[work.done]
        work.done += 1
        if work.done == len(work.batch.parts):
            self.batches.popleft()
        return work.batch, part

    def unfinished(self) -> list[tuple[Batch, Json]]:
        return [(work.batch, part) for work in self.batches for part in work.batch.parts[work.done :]]

    def close(self) -> None:
        self.connection.close()  # the slot reads the end of its input and goes
        self.process.join(timeout=2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


def _context() -> Any:
    import multiprocess

    return multiprocess.get_context("forkserver")


@contextlib.contextmanager
def _slot_environment() -> Iterator[None]:
    """The environment in which slot processes start.

    Python's own safe path, so that no `json.py` in the current directory takes the place of a module; our root on the
    path; and one hash seed, so that the order of a set, and with it a test, is the same in every slot.
    """
    wanted = {"PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": path_with_root()}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def path_with_root() -> str:
    """The import path of a slot: ours, then what the user set."""
    return os.pathsep.join(part for part in (own_root(), os.environ.get("PYTHONPATH")) if part)


def slot_main(connection: Any, reference: str, settings: Mapping[str, Any]) -> None:
    """What a slot process does: answers batches until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what an interrupt means
    worker = build_worker(reference, dict(settings))
    try:
        with contextlib.suppress(EOFError, OSError):
            while True:
                shared, parts = json.loads(connection.recv_bytes())
                _answer(connection, worker.handle, shared, parts)
    finally:
        worker.close()


def _answer(connection: Any, handle: Callable[[Json, Json], Json], shared: Json, parts: list[Json]) -> None:
    for part in parts:
        connection.send_bytes(json.dumps(handle(shared, part)).encode())
