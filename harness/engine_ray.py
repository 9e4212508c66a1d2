"""Slots as Ray actors, on one machine or many; needs the extra `ray`.

Whoever reaches Ray's ports can run code on the cluster. Boxes have no network, so programs under judgement cannot.
"""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from harness.engine import ATTEMPTS, IN_FLIGHT, Batch, Json, Outcome, build_worker, path_with_root


class RayEngine:
    """One actor per slot. A lost actor or node costs its batches a retry, as in `LocalEngine`.

    Connects to the cluster that `RAY_ADDRESS` names, or starts one on this machine.

    Raises:
        ModuleNotFoundError: the extra is not installed.
    """

    def __init__(self, worker: str, settings: Json, *, slots: int) -> None:
        import ray

        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            size: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": slots}
            environment = {"PYTHONPATH": path_with_root(), "PYTHONHASHSEED": "0"}
            ray.init(
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": environment},
                **size,
            )
        remote: Any = ray.remote(num_cpus=1, max_restarts=-1)(_Actor)
        self._actors: list[Any] = [remote.remote(worker, settings) for _ in range(slots)]

    def run(self, batches: Iterable[Batch]) -> Iterator[Outcome]:
        """Yields outcomes as batches are done; batches are drawn only as actors have room for them."""
        source = iter(batches)
        retries: collections.deque[Batch] = collections.deque()
        load = dict.fromkeys(range(len(self._actors)), 0)
        pending: dict[Any, _Given] = {}
        while True:
            for number in load:
                while load[number] < IN_FLIGHT:
                    # What an actor died over once has its next actor to itself, so that nothing else dies with it.
                    alone = bool(retries) and load[number] == 0
                    batch = retries.popleft() if alone else next(source, None)
                    if batch is None:
                        break
                    given = _Given(number, batch, IN_FLIGHT if alone else 1)
                    pending[self._actors[number].handle.remote(batch.shared, list(batch.parts))] = given
                    load[number] += given.room
            if not pending:
                return
            for answer in self._ray.wait(list(pending), num_returns=1)[0]:
                given = pending.pop(answer)
                load[given.actor] -= given.room
                yield from self._collect(answer, given.batch, retries)

    def _collect(self, answer: Any, batch: Batch, retries: collections.deque[Batch]) -> Iterator[Outcome]:
        try:
            values = self._ray.get(answer)
        except self._ray.exceptions.RayActorError:
            yield from _again(batch, retries)
            return
        for part, value in zip(batch.parts, values, strict=True):
            yield Outcome(shared=batch.shared, part=part, value=value, attempts=batch.attempts + 1)

    def close(self) -> None:
        """Ends the actors, and the cluster if this engine started it."""
        closing = [actor.close.remote() for actor in self._actors]
        self._ray.wait(closing, num_returns=len(closing), timeout=10)
        if self._started:
            self._ray.shutdown()


@dataclass(frozen=True, slots=True)
class _Given:
    """A batch that an actor holds."""

    actor: int
    batch: Batch
    room: int
    """How much of what the actor can hold it takes."""


class _Actor:
    """What runs in a Ray worker process."""

    def __init__(self, reference: str, settings: Json) -> None:
        self._worker = build_worker(reference, settings)

    def handle(self, shared: Json, parts: list[Json]) -> list[Json]:
        return [self._worker.handle(shared, part) for part in parts]

    def close(self) -> None:
        self._worker.close()


def _again(batch: Batch, retries: collections.deque[Batch]) -> Iterator[Outcome]:
    """The actor died somewhere in the batch, nobody knows where: every part is tried again alone."""
    attempts = batch.attempts + 1
    if attempts < ATTEMPTS:
        retries.extend(replace(batch, parts=[part], attempts=attempts) for part in batch.parts)
        return
    for part in batch.parts:
        yield Outcome(shared=batch.shared, part=part, value=None, attempts=attempts)
