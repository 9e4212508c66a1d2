"""Zygotes, slots and containers are killed at random moments of a run, and no verdict is lost or changed."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records import Verdict, read_grades
from tasks.humaneval import HumanEval

VERDICTS = "verdicts-00000-of-00001.jsonl"
Victim = Callable[[], bool]
"""Kills it; False where it has gone by itself."""


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_launcher(pid: int) -> bool:
    try:
        return b"zygote.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def killer(pid: int, parent: int) -> Victim:
    def kill() -> bool:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        with open(handle, closefd=True):
            # Still the process that was chosen, not another one with its number; and not a dead one.
            if pid not in children(parent) or select.select([handle], [], [], 0)[0]:
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True

    return kill


def boxes_and_slots(driver: int) -> list[Victim]:
    """Zygotes, launchers and slots below the driver, which itself is none of them."""
    victims = []
    for server in children(driver):
        for slot in children(server):
            for launcher in filter(is_launcher, children(slot)):
                victims += [killer(slot, server), killer(launcher, slot)]
                victims += [killer(zygote, launcher) for zygote in children(launcher)]
    return victims


class Disturbed:
    """Runs that are disturbed until a number of kills has been reached."""

    def __init__(self, command: Any, tools: Any, folder: Path, samples: Path, table: Any, *options: str) -> None:
        self.command = command
        self.tools = tools
        self.folder = folder
        self.arguments = ("evaluate", samples, "--subset", "--workers", "2", *options)
        self.table = table
        self.rng = random.Random(0)
        self.unjudged = 0

    def run(self, kills: int, find: Callable[[int], list[Victim]]) -> None:
        """Each run must come to the table of the undisturbed one."""
        done = turn = 0
        while done < kills:
            turn += 1
            assert turn <= kills, "a whole run was over before anything in it was killed, time and again"
            done += self._once(self.folder / f"disturbed-{turn}", kills - done, find)

    def _once(self, out: Path, kills: int, find: Callable[[int], list[Victim]]) -> int:
        process = self.command.start(*self.arguments, "--out", out)
        done = self._kill(process, out / VERDICTS, kills, find)
        _, errors = process.communicate(timeout=600)
        unjudged = {key for key, grade in read_grades(out).items() if grade.verdict is Verdict.UNJUDGED}
        assert process.returncode == (3 if unjudged else 0), errors
        assert self._judged(self.tools.table(out), unjudged) == self._judged(self.table, unjudged)
        if unjudged:
            resumed = self.command(*self.arguments, "--out", out)
            assert resumed.returncode == 0, resumed.stderr
        assert self.tools.table(out) == self.table
        self.unjudged += len(unjudged)
        return done

    def _judged(self, table: Any, unjudged: set[Any]) -> Any:
        return {key: line for key, line in table.items() if key not in unjudged}

    def _kill(self, process: Any, verdicts: Path, kills: int, find: Callable[[int], list[Victim]]) -> int:
        done = 0
        while done < kills:
            goal = self.tools.num_rows(verdicts) + self.rng.randrange(6)
            victims: list[Victim] = []

            def due(goal: int = goal, victims: list[Victim] = victims) -> bool:
                if process.poll() is not None:
                    return True
                if self.tools.num_rows(verdicts) >= goal:
                    victims[:] = find(process.pid)
                return bool(victims)

            self.tools.wait_until(due, "a moment to kill something")
            if not victims:
                return done
            done += self.rng.choice(victims)()
        return done


def test_whatever_dies_in_a_run_no_verdict_is_lost_or_changed(
    corpus: Any, command: Any, tools: Any, tmp_path: Path
) -> None:
    disturbed = Disturbed(command, tools, tmp_path, corpus.samples, corpus.table, "--sandbox", "local")

    disturbed.run(15, boxes_and_slots)


@pytest.mark.slow
def test_a_hundred_deaths_lose_and_change_no_verdict(command: Any, tools: Any, tmp_path: Path, capsys: Any) -> None:
    rows = tools.corpus_rows()
    for problem in HumanEval().load():
        for index in range(10, 13):
            completion = f"{problem.reference}\n# {index}\n"
            rows.append({"task_id": problem.task_id, "index": index, "completion": completion})
    samples = tools.write_rows(tmp_path / "samples.jsonl", rows)
    done = command("evaluate", samples, "--subset", "--workers", "2", "--out", tmp_path / "undisturbed")
    assert done.returncode == 0, done.stderr
    table = tools.table(tmp_path / "undisturbed")

    disturbed = Disturbed(command, tools, tmp_path, samples, table, "--sandbox", "local")
    disturbed.run(100, boxes_and_slots)
    with capsys.disabled():
        print(f"\n100 kills, {len(table)} samples a run: {disturbed.unjudged} left to a resumed run")


@pytest.mark.docker
def test_containers_that_die_in_a_run_lose_and_change_no_verdict(
    corpus: Any, command: Any, tools: Any, tmp_path: Path
) -> None:
    docker = pytest.importorskip("docker")
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"needs a running Docker daemon: {error}")

    def kill(container: Any) -> Victim:
        def now() -> bool:
            try:
                container.kill()
            except docker.errors.DockerException:
                return False
            return True

        return now

    def find(driver: int) -> list[Victim]:
        slots = {str(pid) for server in children(driver) for pid in children(server)}
        running = client.containers.list(filters={"label": "mtp-harness=box"}, ignore_removed=True)
        ours = [container for container in running if container.labels.get("mtp-harness.pid") in slots]
        return [kill(container) for container in ours]

    with contextlib.closing(client):
        Disturbed(command, tools, tmp_path, corpus.samples, corpus.table, "--sandbox", "docker").run(6, find)
