"""The gate from end to end: real runs, a real server whose models are as good as they are told to be, a real model."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loopback_server import Server, serving
from small import small_model, taught

from harness import pipeline
from harness.config import RunConfig, UsageError
from harness.gate_command import decide
from harness.gate_preflight import LIKELY, default_looks, preflight
from harness.gate_run import read_measured
from harness.gate_setup import GateOptions
from harness.records import read_samples
from harness.rundir import read_run
from harness.samples import samples_digest
from harness.stats import Counts, GatePlan
from harness.stats.counts import Missing
from harness.stats.gate import gate, gate_chances
from models.checkpoint import save
from models.tokenizer import ByteTokenizer
from tasks.humaneval import HumanEval

M = 12
VERDICTS = "verdicts-00000-of-00001.jsonl"
PROBLEMS = HumanEval().load()[:M]
MACHINE: dict[str, Any] = {"engine": "serial"}
WRONG = "    return None\n"


def uniform(*what: object) -> float:
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:8]) / 2**64


def samples_file(path: Path, rate: float, n: int, *, num_problems: int = M) -> Path:
    """A reference where a draw falls below `rate`, else a program that solves nothing."""
    rows = [
        {
            "task_id": problem.task_id,
            "index": index,
            "completion": problem.reference if uniform(path.stem, problem.task_id, index) < rate else WRONG,
        }
        for problem in PROBLEMS[:num_problems]
        for index in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judged(folder: Path, name: str, rate: float, n: int, **choices: Any) -> Path:
    """The run directory of a samples file."""
    file = samples_file(folder / f"{name}.jsonl", rate, n, num_problems=choices.get("limit", M))
    config = RunConfig(
        model=f"samples:{file}", model_digest=samples_digest(file), **{"limit": M, "engine": "serial", **choices}
    )
    pipeline.run(config, folder / name)
    return folder / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs: base (n=16), same and bad (n=4), fresh (n=4, as bad)."""
    folder = tmp_path_factory.mktemp("runs")
    for name, rate, n in (("base", 0.8, 16), ("same", 0.8, 4), ("bad", 0.2, 4), ("fresh", 0.2, 4)):
        judged(folder, name, rate, n)
    return folder


def options(runs: Path, candidate: str, out: Path, **fields: Any) -> GateOptions:
    typed: dict[str, Any] = {"margin": 0.2, "machine": MACHINE, **fields}
    return GateOptions(baseline=runs / "base", candidate=candidate, out=out, **typed)


def recorded(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "gate.json").read_text()))


# ---------------------------------------------------------------------------------------------------------------------
# Candidates that are runs
# ---------------------------------------------------------------------------------------------------------------------


def test_an_equal_run_passes_and_the_decision_is_recorded(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide(options(runs, str(runs / "same"), tmp_path)) == 0
    printed = capsys.readouterr().out
    assert printed.index("an unchanged checkpoint: PASS") < printed.index("PASS: the candidate is shown to lose less")
    record = recorded(tmp_path)
    assert (record["decision"], record["exit_code"]) == ("PASS", 0)
    assert record["baseline"]["protocol_hash"] == read_run(runs / "base")["protocol"]["hash"]
    assert record["baseline"]["samples_digest"] == read_measured(runs / "base").samples_digest
    assert (record["baseline"]["n"], record["candidate"]["n"]) == (16, 4)
    assert 'failures="0"' in (tmp_path / "gate.junit.xml").read_text()


def test_a_run_is_looked_at_once_with_all_its_samples(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(options(runs, str(runs / "same"), tmp_path))
    assert "one look at all 4 samples of each problem" in capsys.readouterr().out
    (look,) = recorded(tmp_path)["looks"]
    alone = GatePlan(margin=0.2)
    expected = gate(read_measured(runs / "same").counts(), read_measured(runs / "base").counts(), alone)
    assert (look["lower"], look["upper"], look["n_candidate"]) == (expected.lower, expected.upper, 4)


def test_a_decision_without_out_is_kept_with_the_candidate(runs: Path, tmp_path: Path) -> None:
    candidate = Path(shutil.copytree(runs / "same", tmp_path / "candidate-run"))
    before = {path.name: path.read_bytes() for path in candidate.iterdir()}
    assert decide(replace(options(runs, str(candidate), tmp_path), out=None)) == 0
    assert {path.name for path in candidate.iterdir()} == {*before, "gate.json", "gate.junit.xml"}
    assert all((candidate / name).read_bytes() == content for name, content in before.items())


def test_a_worse_run_waits_for_fresh_samples_and_says_what_to_type(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide(options(runs, str(runs / "bad"), tmp_path)) == 4
    assert recorded(tmp_path)["result"]["confirmation"] == "needed"
    assert "add --confirm RUN" in capsys.readouterr().out


def test_a_worse_run_fails_where_fresh_samples_say_the_same(runs: Path, tmp_path: Path) -> None:
    assert decide(options(runs, str(runs / "bad"), tmp_path, confirm_run=runs / "fresh")) == 1
    record = recorded(tmp_path)
    assert record["confirmation"]["candidate"]["run"] == str(runs / "fresh")
    assert not record["confirmation"]["fresh_baseline"]
    # The pinned baseline's luck is in both looks: more than the square of alpha.
    assert 0.05**2 < record["result"]["false_fail"] < 0.0125
    assert 'failures="1"' in (tmp_path / "gate.junit.xml").read_text()


def test_a_worse_run_fails_at_once_where_no_confirmation_is_wanted(runs: Path, tmp_path: Path) -> None:
    assert decide(options(runs, str(runs / "bad"), tmp_path, confirm=False)) == 1
    assert recorded(tmp_path)["result"]["false_fail"] == 0.05


def test_a_failure_that_fresh_samples_do_not_confirm_is_no_failure(runs: Path, tmp_path: Path) -> None:
    assert decide(options(runs, str(runs / "bad"), tmp_path, confirm_run=runs / "same")) == 0
    assert recorded(tmp_path)["result"]["confirmation"] == "not confirmed"


def test_samples_that_were_already_seen_confirm_nothing(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fresh ones are drawn with another --seed"):
        decide(options(runs, str(runs / "bad"), tmp_path, confirm_run=runs / "bad"))
    assert not list(tmp_path.iterdir())


def test_planned_looks_take_the_first_samples_of_a_run_and_pay_for_it(runs: Path, tmp_path: Path) -> None:
    assert decide(options(runs, str(runs / "bad"), tmp_path, looks=(2, 4), confirm=False)) == 1
    (look,) = recorded(tmp_path)["looks"]
    expected = gate(
        read_measured(runs / "bad").counts(2),
        read_measured(runs / "base").counts(),
        GatePlan(margin=0.2, looks=(2, 4), confirm_on_fail=False),
    )
    assert (look["n_candidate"], look["lower"], look["upper"]) == (2, expected.lower, expected.upper)
    assert look["alpha_spent"] < 0.05


def test_planned_looks_wait_for_samples_that_are_not_there_yet(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = options(runs, str(runs / "same"), tmp_path, looks=(4, 8), margin=0.02)
    assert decide(asked) == 4
    assert "the next look takes 8 samples of each problem; draw them" in capsys.readouterr().out
    assert recorded(tmp_path)["result"]["completions_needed"] == 4 * M


def test_samples_files_and_references_are_judged_as_the_baseline_was(runs: Path, tmp_path: Path) -> None:
    bad = options(runs, f"samples:{runs / 'bad.jsonl'}", tmp_path / "bad", confirm=False)
    assert decide(bad) == 1
    assert read_run(tmp_path / "bad" / "candidate")["protocol"] == read_run(runs / "base")["protocol"]
    assert decide(options(runs, "reference", tmp_path / "reference")) == 0
    assert recorded(tmp_path / "reference")["result"]["candidate"] == 1.0


def test_json_is_gate_json_and_nothing_else(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decide(options(runs, str(runs / "same"), tmp_path, as_json=True))
    printed = capsys.readouterr()
    assert json.loads(printed.out) == recorded(tmp_path)
    assert "an unchanged checkpoint" in printed.err


def test_the_same_gate_twice_writes_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        assert decide(options(runs, str(runs / "same"), tmp_path)) == 0
        contents.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert contents[0] == contents[1]


def test_another_question_in_the_same_directory_is_refused_until_the_old_one_is_thrown_away(
    runs: Path, tmp_path: Path
) -> None:
    assert decide(options(runs, str(runs / "same"), tmp_path, margin=0.02)) == 4
    before = (tmp_path / "gate.json").read_bytes()
    with pytest.raises(UsageError, match=r"plan.margin: 0.02 before, 0.2 now"):
        decide(options(runs, str(runs / "same"), tmp_path))
    assert (tmp_path / "gate.json").read_bytes() == before
    assert decide(options(runs, str(runs / "same"), tmp_path, fresh=True)) == 0


# ---------------------------------------------------------------------------------------------------------------------
# What decides nothing
# ---------------------------------------------------------------------------------------------------------------------


def with_row(run: Path, place: Path, **changes: Any) -> Path:
    """A copy of a run whose first verdict is changed."""
    copy = Path(shutil.copytree(run, place))
    row = json.loads((copy / VERDICTS).read_text().splitlines()[0])
    with (copy / VERDICTS).open("a") as file:
        file.write(json.dumps({**row, **changes}) + "\n")
    return copy


def test_an_unjudged_sample_is_invalid_and_no_verdict(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hurt = with_row(runs / "same", tmp_path / "hurt", verdict="unjudged")
    assert decide(options(runs, str(hurt), tmp_path / "out")) == 3
    assert f"INVALID: 1 of {4 * M} completions of the candidate have no verdict." in capsys.readouterr().out
    assert recorded(tmp_path / "out")["result"]["lower"] is None
    assert 'errors="1"' in (tmp_path / "out" / "gate.junit.xml").read_text()


def test_a_problem_without_any_verdict_is_invalid_and_no_crash(runs: Path, tmp_path: Path) -> None:
    hurt = Path(shutil.copytree(runs / "same", tmp_path / "hurt"))
    rows = (hurt / VERDICTS).read_text().splitlines()
    kept = [row for row in rows if json.loads(row)["task_id"] != PROBLEMS[0].task_id]
    (hurt / VERDICTS).write_text("".join(row + "\n" for row in kept))
    assert decide(options(runs, str(hurt), tmp_path / "out", looks=(2, 4), missing=Missing.EXCLUDE)) == 3
    assert recorded(tmp_path / "out")["result"]["n_candidate"] == 0


def test_an_unfinished_baseline_is_invalid_before_anything_is_drawn(runs: Path, tmp_path: Path) -> None:
    hurt = with_row(runs / "base", tmp_path / "hurt", verdict="unjudged")
    assert decide(replace(options(runs, str(runs / "same"), tmp_path / "out"), baseline=hurt)) == 3
    assert "of the baseline have no verdict" in recorded(tmp_path / "out")["reason"]
    assert recorded(tmp_path / "out")["looks"] == []


def test_an_invalid_gate_can_be_asked_again_when_the_run_is_finished(runs: Path, tmp_path: Path) -> None:
    candidate = Path(shutil.copytree(runs / "same", tmp_path / "run"))
    rows = (candidate / VERDICTS).read_text()
    (candidate / VERDICTS).write_text("\n".join(rows.splitlines()[:-1]) + "\n")
    assert decide(options(runs, str(candidate), tmp_path / "out")) == 3
    (candidate / VERDICTS).write_text(rows)
    assert decide(options(runs, str(candidate), tmp_path / "out")) == 0


@pytest.mark.parametrize(("missing", "n"), [(Missing.EXCLUDE, 15), (Missing.FAIL, 16)])
def test_what_becomes_of_missing_verdicts_is_the_users_choice(
    runs: Path, tmp_path: Path, missing: Missing, n: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hurt = with_row(runs / "base", tmp_path / "hurt", verdict="unjudged")
    asked = replace(options(runs, str(runs / "same"), tmp_path / "out", missing=missing), baseline=hurt)
    assert decide(asked) == 0
    assert recorded(tmp_path / "out")["result"]["n_baseline"] == n
    assert "0 samples of the candidate and 1 of the baseline have no verdict" in capsys.readouterr().out


def test_samples_that_a_model_never_gave_are_missing(runs: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs / "same", tmp_path / "run"))
    record = read_run(copy)
    record["expected"] = {problem.task_id: 5 for problem in PROBLEMS}
    (copy / "run.json").write_text(json.dumps(record))
    assert read_measured(copy).counts().num_missing == M
    assert read_measured(copy).counts(4).num_missing == 0


# ---------------------------------------------------------------------------------------------------------------------
# What cannot be asked
# ---------------------------------------------------------------------------------------------------------------------


def test_unlike_protocols_are_refused_field_by_field(runs: Path, tmp_path: Path) -> None:
    other = judged(tmp_path, "other", 0.8, 2, cpu_s=1.0, limit=6)
    with pytest.raises(UsageError) as refused:
        decide(options(runs, str(other), tmp_path / "out"))
    said = str(refused.value)
    assert "limits.cpu_s: 1.0 and 0.25" in said
    assert "num_problems: 6 and 12" in said
    assert not (tmp_path / "out").exists()


def test_fewer_problems_are_compared_where_a_subset_is_allowed(runs: Path, tmp_path: Path) -> None:
    part = judged(tmp_path, "part", 0.8, 4, limit=6)
    assert decide(options(runs, str(part), tmp_path / "out", allow_subset=True, margin=0.4)) == 0
    first = read_measured(runs / "base").counts().select(range(6))
    assert recorded(tmp_path / "out")["result"]["baseline"] == pytest.approx(first.c.sum() / first.n.sum())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"margin": 2.0}, "margin must lie between 0 and 1, not 2.0; 2 points are --margin 0.02"),
        ({"alpha": 0.9}, "alpha must lie between 0 and 0.5"),
        ({"k": 5}, "has 4 samples of some problem; pass@5 with the target problems takes 5"),
        ({"looks": (8, 16)}, "the first look takes 8 samples of each problem"),
        ({"looks": (4, 2)}, "looks must rise"),
        ({"seed": 3}, "--seed is for a model"),
        ({"candidate": "night/42"}, "night/42 is no run directory, and: unknown model"),
        ({"candidate": "mtp:x"}, "how they were drawn is not known"),
    ],
)
def test_what_cannot_be_asked_is_one_message_and_writes_nothing(
    runs: Path, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        decide(options(runs, fields.pop("candidate", str(runs / "same")), tmp_path / "out", **fields))
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_compared_with_itself(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="candidate and baseline are both"):
        decide(options(runs, str(runs / "base"), tmp_path))


# ---------------------------------------------------------------------------------------------------------------------
# Preflight
# ---------------------------------------------------------------------------------------------------------------------


def test_a_gate_that_cannot_pass_says_so_and_what_would_do() -> None:
    rng = np.random.default_rng(5)
    counts = Counts.of(np.full(164, 20), rng.binomial(20, rng.beta(0.194, 0.538, 164)))
    told = preflight(counts, GatePlan(), 1, "")
    assert told.chances.passed < 0.25
    assert "this gate can hardly pass anything: even an unchanged checkpoint passes in 22 %" in told.warnings[0]
    assert "16 samples of each problem and a baseline of 64 (95 %); or --margin 0.08 (97 %)" in told.warnings[0]
    for n, enough in ((8, False), (16, True)):
        chances = gate_chances(counts, GatePlan(), num_samples=n, num_baseline_samples=4 * n)
        assert (chances.passed >= LIKELY) == enough
    assert preflight(counts, GatePlan(margin=0.15), 4, "").warnings == ()


def test_a_baseline_of_fewer_than_4_times_the_samples_is_warned_of() -> None:
    counts = Counts.of(np.full(164, 20), np.arange(164) % 21)
    (warning,) = preflight(counts, GatePlan(margin=0.1), 16, "").warnings
    assert "(64)" in warning


def test_usual_looks_grow_with_k() -> None:
    assert default_looks(1) == (2, 4, 8, 16)
    assert default_looks(10) == (20, 40, 80, 160)


# ---------------------------------------------------------------------------------------------------------------------
# Candidates that are models
# ---------------------------------------------------------------------------------------------------------------------

RATES = {"base": 0.8, "same": 0.8, "bad": 0.2}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose models solve each problem with the chance in `RATES`, decided by model, prompt and seed alone."""
    references = {problem.prompt: problem.reference for problem in PROBLEMS}

    def answer(body: dict[str, Any], attempt: int) -> Any:
        solved = uniform(body["model"], body["prompt"], body["seed"]) < RATES[body["model"]]
        choice = {"index": 0, "finish_reason": "stop", "text": references[body["prompt"]] if solved else WRONG}
        return 200, {}, {"choices": [choice], "usage": {"completion_tokens": 1}}

    with serving() as state:
        state.listing = lambda asked: (200, {}, {"data": [{"id": name} for name in RATES]})
        state.script = answer
        yield state


@pytest.fixture(scope="module")
def asked(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a baseline that a model of the server has written, 16 samples of each problem."""
    folder = tmp_path_factory.mktemp("asked")
    config = RunConfig(model=f"openai:{server.url}#base", n_samples=16, temperature=0.8, limit=M, **MACHINE)
    pipeline.run(config, folder / "base")
    return folder


def ask(asked: Path, server: Server, name: str, out: Path, **fields: Any) -> GateOptions:
    return options(asked, f"openai:{server.url}#{name}", out, **{"looks": (2, 4, 8), **fields})


def num_drawn(out: Path) -> int:
    return len(read_samples(out))


def test_an_equal_model_passes_with_no_more_samples_than_that_takes(
    asked: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide(ask(asked, server, "same", tmp_path, margin=0.25)) == 0
    record = recorded(tmp_path)
    looked = [look["n_candidate"] for look in record["looks"]]
    assert looked == [2, 4, 8][: len(looked)]
    assert num_drawn(tmp_path / "candidate") == looked[-1] * M
    assert "drawn as they are needed" in capsys.readouterr().out


def test_a_model_is_asked_as_the_baselines_was_but_with_a_seed_of_its_own(
    asked: Path, server: Server, tmp_path: Path
) -> None:
    decide(ask(asked, server, "same", tmp_path, margin=0.25))
    ours, theirs = read_run(tmp_path / "candidate"), read_run(asked / "base")
    assert ours["protocol"] == theirs["protocol"]
    assert {name for name in ours["config"] if ours["config"][name] != theirs["config"][name]} == {
        *("model", "n_samples", "seed", "ks")
    }
    assert ours["config"]["seed"] == 1


def test_the_run_that_a_gate_drew_is_a_finished_run(asked: Path, server: Server, tmp_path: Path) -> None:
    decide(ask(asked, server, "same", tmp_path, margin=0.25))
    run = tmp_path / "candidate"
    n = recorded(tmp_path)["result"]["n_candidate"]
    assert read_run(run)["config"]["n_samples"] == n
    assert pipeline.report(run)["complete"]


def test_a_worse_model_stops_early_and_is_confirmed_by_a_second_run(
    asked: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide(ask(asked, server, "bad", tmp_path)) == 1
    record = recorded(tmp_path)
    assert [look["n_candidate"] for look in record["looks"]] == [2]
    assert num_drawn(tmp_path / "candidate") == 2 * M
    assert num_drawn(tmp_path / "confirm-candidate") == 4 * M
    seeds = {read_run(tmp_path / name)["config"]["seed"] for name in ("candidate", "confirm-candidate")}
    assert seeds == {1, 2}
    # A server does not show whether it is still the same model, so the pinned samples stand for the baseline.
    assert not record["confirmation"]["fresh_baseline"]
    assert "confirm-candidate" in capsys.readouterr().out


def test_a_finished_gate_that_is_typed_again_draws_nothing_and_says_the_same(
    asked: Path, server: Server, tmp_path: Path
) -> None:
    assert decide(ask(asked, server, "bad", tmp_path)) == 1
    before, num_asked = (tmp_path / "gate.json").read_bytes(), len(server.bodies)
    assert decide(ask(asked, server, "bad", tmp_path)) == 1
    assert (tmp_path / "gate.json").read_bytes() == before
    assert len(server.bodies) == num_asked


def test_a_gate_that_was_cut_short_goes_on_to_the_same_verdict(asked: Path, server: Server, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    fields = {"margin": 0.02}
    code = decide(ask(asked, server, "same", whole, **fields))
    assert len(recorded(whole)["looks"]) > 1
    decide(ask(asked, server, "same", part, **fields))
    for name in ("samples-00000-of-00001.jsonl", VERDICTS):
        path = part / "candidate" / name
        rows = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(rows[: len(rows) // 2]) + b'{"task_id": "Hum')
    (part / "gate.junit.xml").unlink()
    assert decide(ask(asked, server, "same", part, **fields)) == code
    old, new = recorded(whole), recorded(part)
    assert (old["looks"], old["result"]) == (new["looks"], new["result"])


GATE = """
import sys
from pathlib import Path
from harness.gate_command import decide
from harness.gate_setup import GateOptions
if __name__ == "__main__":
    base, candidate, out = sys.argv[1:]
    try:
        sys.exit(decide(GateOptions(baseline=Path(base), candidate=candidate, out=Path(out), margin=0.2,
                                    looks=(2, 4, 8), machine={"engine": "serial", "batch_size": 1})))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_an_interrupted_gate_goes_on_where_it_was(asked: Path, server: Server, tmp_path: Path, tools: Any) -> None:
    usual, begun = server.script, len(server.bodies)
    server.script = lambda body, attempt: (
        server.hold(body, attempt) or usual(body, attempt) if len(server.bodies) > begun + 10 else usual(body, attempt)
    )
    (tmp_path / "gate.py").write_text(GATE)
    arguments = [tmp_path / "gate.py", asked / "base", f"openai:{server.url}#bad", tmp_path / "out"]
    typed = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(typed, env=tools.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        tools.wait_until(lambda: len(server.bodies) > begun + 10, "ten answers")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
        server.script = usual
    assert recorded(tmp_path / "out")["decision"] is None
    kept = num_drawn(tmp_path / "out" / "candidate")
    assert 8 <= kept < 2 * M
    assert decide(ask(asked, server, "bad", tmp_path / "out")) == 1
    assert decide(ask(asked, server, "bad", tmp_path / "undisturbed")) == 1
    assert recorded(tmp_path / "out")["result"] == recorded(tmp_path / "undisturbed")["result"]


def test_what_a_gate_drew_is_neither_baseline_nor_candidate_of_another(
    asked: Path, server: Server, tmp_path: Path
) -> None:
    decide(ask(asked, server, "same", tmp_path, margin=0.25))
    drawn = tmp_path / "candidate"
    for fields in ({"baseline": drawn, "candidate": str(asked / "base")}, {"candidate": str(drawn), "looks": ()}):
        with pytest.raises(UsageError, match="was drawn by a gate, which stopped when it had seen enough"):
            decide(replace(ask(asked, server, "same", tmp_path / "other"), **fields))


def test_answers_that_do_not_come_make_the_gate_invalid_until_they_do(
    asked: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual, begun = server.script, len(server.bodies)
    server.script = lambda body, attempt: (
        (400, {}, {"error": "too long"}) if len(server.bodies) == begun + 1 else usual(body, attempt)
    )
    try:
        gated = ask(asked, server, "bad", tmp_path, confirm=False)
        assert decide(replace(gated, machine={**MACHINE, "batch_size": 1})) == 3
        assert "1 of 24 completions of the candidate have no verdict" in capsys.readouterr().out
    finally:
        server.script = usual
    assert decide(gated) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"seed": 0}, "--seed 0 is the baseline's"),
        ({"confirm_run": Path("x")}, "--confirm is for a run"),
        ({"k": 4}, "4 or more completions at the first look"),
    ],
)
def test_what_a_model_cannot_be_asked_is_said_before_it_is_asked(
    asked: Path, server: Server, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    begun = len(server.bodies)
    with pytest.raises(UsageError, match=said):
        decide(ask(asked, server, "same", tmp_path / "out", **fields))
    assert len(server.bodies) == begun
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------------------------------
# A multi-token model of our own
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models: one knows the first three problems of `mini` by heart, the other nothing."""
    folder = tmp_path_factory.mktemp("checkpoints")
    task = RunConfig(task="mini").load_task()
    texts = [task.prompt(problem, task.presets[0]) + problem.reference for problem in task.load()[:3]]
    learned = taught(small_model(n=2, spread=0.1, dtype=torch.float32, max_positions=512), texts, steps=300)
    save(learned, ByteTokenizer(), folder / "learned")
    save(small_model(n=2, spread=0.2, dtype=torch.float32, max_positions=512), ByteTokenizer(), folder / "random")
    return folder


def written(checkpoints: Path, name: str, out: Path, **choices: Any) -> Path:
    """A run directory of a model on the first three problems."""
    fields = {"n_samples": 8, "temperature": 0.2, **choices}
    model = f"mtp:{checkpoints / name}"
    pipeline.run(
        RunConfig(task="mini", preset="completion", model=model, limit=3, max_new_tokens=32, **MACHINE, **fields), out
    )
    return out


def test_an_unchanged_checkpoint_passes(checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = written(checkpoints, "learned", tmp_path / "base")
    model = f"mtp:{checkpoints / 'learned'}"
    asked = GateOptions(baseline=base, candidate=model, out=tmp_path / "out", margin=0.99, looks=(2,), machine=MACHINE)
    assert decide(asked) == 0
    digests = {read_run(run)["config"]["model_digest"] for run in (base, tmp_path / "out" / "candidate")}
    assert len(digests) == 1
    assert "" not in digests
    assert "weights" in capsys.readouterr().out


def test_a_checkpoint_that_forgot_everything_fails_against_fresh_samples_of_both(
    checkpoints: Path, tmp_path: Path
) -> None:
    base = written(checkpoints, "learned", tmp_path / "base")
    model, out = f"mtp:{checkpoints / 'random'}", tmp_path / "out"
    asked = GateOptions(baseline=base, candidate=model, out=out, looks=(2,), machine=MACHINE)
    assert decide(asked) == 1
    record = recorded(out)
    assert record["confirmation"]["fresh_baseline"]
    assert record["result"]["false_fail"] == pytest.approx(0.05**2)
    seeds = [read_run(run)["config"]["seed"] for run in (base, out / "candidate", out / "confirm-candidate")]
    seeds.append(read_run(out / "confirm-baseline")["config"]["seed"])
    assert len(set(seeds)) == 4
    assert read_run(base)["config"]["n_samples"] == 8  # the pinned one is as it was
    assert read_measured(out / "confirm-baseline").samples_digest != record["baseline"]["samples_digest"]


def test_another_checkpoint_in_the_place_of_the_one_that_was_gated_is_not_given_its_verdict(
    checkpoints: Path, tmp_path: Path
) -> None:
    base = written(checkpoints, "learned", tmp_path / "base")
    latest = shutil.copytree(checkpoints / "learned", tmp_path / "latest")
    asked = GateOptions(
        baseline=base, candidate=f"mtp:{latest}", out=tmp_path / "out", margin=0.99, looks=(2,), machine=MACHINE
    )
    assert decide(asked) == 0
    shutil.rmtree(latest)
    shutil.copytree(checkpoints / "random", latest)
    with pytest.raises(UsageError, match=r"holds another run:\n  model_digest"):
        decide(asked)
    assert decide(replace(asked, fresh=True, confirm=False)) == 1


def test_a_greedy_baseline_is_gated_once_and_without_confirmation(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = written(checkpoints, "learned", tmp_path / "base", temperature=0.0, n_samples=1)
    model = f"mtp:{checkpoints / 'learned'}"
    asked = GateOptions(baseline=base, candidate=model, out=tmp_path / "out", margin=0.99, machine=MACHINE)
    assert decide(asked) == 0
    record = recorded(tmp_path / "out")
    assert (record["plan"]["looks"], record["plan"]["confirm_on_fail"]) == ([1], False)
    assert "there are no fresh samples" in capsys.readouterr().out
    with pytest.raises(UsageError, match="type --looks 1"):
        decide(replace(asked, looks=(2, 4), out=tmp_path / "other"))
