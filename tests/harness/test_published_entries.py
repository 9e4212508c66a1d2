"""The table of published figures: its form, and its figures against relations that must hold between them."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal

import pytest

from harness.published import Certainty, Decoding, Entry, Metric, find, load_entries, select
from harness.published.entries import parse_entries
from tasks.catalog import TASKS, load_task

ENTRIES = load_entries()
SCORES = [entry for entry in ENTRIES if entry.metric is Metric.PASS_AT_K]
SPEEDS = [entry for entry in ENTRIES if entry.metric is not Metric.PASS_AT_K]
BY_ID = {entry.id: entry for entry in ENTRIES}
TABLES = list(dict.fromkeys(entry.id.partition("/")[0] for entry in ENTRIES))

TABLE = """
[source.a]
title = "A paper"
arxiv = "0000.00000"

[[table]]
name = "t"
source = "a"
place = "Table 1"
certainty = "one source"
columns = ["mbpp@1", "mbpp@10"]
[table.rows]
"model" = [1.0, 2.5]
"""


def value(id: str) -> float:
    return float(BY_ID[id].value)


def row(table: str, name: str, task: str) -> list[float]:
    return [value(f"{table}/{name}/{task}@{k}") for k in (1, 10, 100)]


def gains(table: str, name: str, baseline: str, task: str) -> list[float]:
    pairs = zip(row(table, name, task), row(table, baseline, task), strict=True)
    return [round(one - other, 1) for one, other in pairs]


def of_table(name: str) -> list[Entry]:
    return [entry for entry in ENTRIES if entry.id.startswith(f"{name}/")]


# ---------------------------------------------------------------------------------------------------------------------
# Every figure
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_a_score_is_a_percentage_of_a_task_there_is_with_samples_enough(table: str) -> None:
    for entry in of_table(table):
        if entry.metric is Metric.PASS_AT_K:
            assert 0 <= entry.value <= 100, entry.id
            assert entry.k is not None, entry.id
            assert entry.task.removesuffix(" (base)") in TASKS, entry.id
            assert entry.num_samples is None or entry.num_samples >= entry.k, entry.id
            assert entry.temperature is None or 0 < entry.temperature <= 2, entry.id
            assert entry.top_p is None or 0 < entry.top_p <= 1, entry.id
            assert entry.selected_from >= 1, entry.id


@pytest.mark.parametrize("entry", SPEEDS, ids=lambda entry: entry.id)
def test_a_speed_is_a_ratio_of_plain_decoding_or_training(entry: Entry) -> None:
    assert 1 <= entry.value <= 32
    assert (entry.k, entry.num_problems, entry.temperature) == (None, None, None)


@pytest.mark.parametrize("table", TABLES)
def test_a_figure_says_where_it_was_read_and_how_sure_it_is(table: str) -> None:
    for entry in of_table(table):
        assert entry.source.title, entry.id
        assert entry.source.address.startswith("https://"), entry.id
        assert entry.place, entry.id
        assert entry.certainty in Certainty, entry.id


def test_ids_are_unique_in_any_case_of_letters() -> None:
    assert len({entry.id.lower() for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("table", TABLES)
def test_a_preset_is_one_of_the_task_or_says_whose_it_is(table: str) -> None:
    for entry in of_table(table):
        if entry.preset is not None:
            presets = [preset.name for preset in load_task(entry.task.removesuffix(" (base)")).presets]
            assert entry.preset in presets or "(" in entry.preset, entry.id


@pytest.mark.parametrize("table", TABLES)
def test_a_greedy_score_is_one_answer_to_each_of_the_problems(table: str) -> None:
    for entry in of_table(table):
        if entry.decoding is Decoding.GREEDY and entry.metric is Metric.PASS_AT_K:
            assert (entry.num_samples, entry.k) == (1, 1), entry.id
            assert entry.num_problems is not None, entry.id


def is_whole_number_of_problems(entry: Entry) -> bool:
    assert entry.num_problems is not None
    solved = entry.fraction * entry.num_problems
    shares = [round(100 * count / entry.num_problems + 1e-9, 1) for count in (math.floor(solved), math.ceil(solved))]
    return float(entry.value) in shares


def test_greedy_scores_are_whole_numbers_of_solved_problems_but_for_one_that_says_so() -> None:
    greedy = [entry for entry in SCORES if entry.decoding is Decoding.GREEDY]
    assert len(greedy) > 180
    [odd] = [entry for entry in greedy if not is_whole_number_of_problems(entry)]
    assert odd.id == "codet-greedy/CodeGen-Mono-16B/humaneval@1"
    assert "no whole number" in odd.note


def test_a_sampled_score_with_enough_decimals_is_a_whole_number_of_passes() -> None:
    exact = [entry for entry in SCORES if entry.k == 1 and entry.unit < 1e-6]
    assert len(exact) == 10
    for entry in exact:
        assert entry.num_samples == 200
        assert entry.num_problems == 164
        passes = entry.fraction * 200 * 164
        assert abs(passes - round(passes)) < 1e-3


def test_pass_at_k_grows_with_k() -> None:
    rows: dict[tuple[str, str], dict[int, Decimal]] = {}
    for entry in SCORES:
        assert entry.k is not None
        rows.setdefault((entry.id.rpartition("/")[0], entry.task), {})[entry.k] = entry.value
    several = [scores for scores in rows.values() if len(scores) > 1]
    assert len(several) > 50
    for scores in several:
        values = [scores[k] for k in sorted(scores)]
        assert values == sorted(values)


def test_there_are_scores_of_at_least_25_further_models_in_each_certainty_and_every_task() -> None:
    others = [entry for entry in SCORES if entry.source.name != "gloeckle-2024"]
    assert len({entry.model for entry in others}) >= 25
    assert {entry.certainty for entry in others} == set(Certainty)
    assert {entry.task for entry in others} >= {
        *("humaneval", "humaneval+", "humaneval+ (base)", "mbpp", "mbpp+", "mbpp+ (base)"),
        *("apps-introductory", "apps-interview", "apps-competition"),
    }


# ---------------------------------------------------------------------------------------------------------------------
# Gloeckle et al. 2024
# ---------------------------------------------------------------------------------------------------------------------


def test_every_cell_of_the_papers_tables_is_there() -> None:
    counts = Counter(entry.id.partition("/")[0] for entry in ENTRIES if entry.source.name == "gloeckle-2024")
    assert counts == {
        "gloeckle-t1": 11 * 9,
        "gloeckle-s2": 4 * 6,
        "gloeckle-s3": 17 * 2,
        "gloeckle-s4": 6 * 9,
        "gloeckle-s5": 6 * 2,
        "gloeckle-s6": 4 * 9,
        "gloeckle-s7": 18 * 6,
    }


def test_the_bytes_gain_67_percent_of_mbpp_and_20_of_humaneval() -> None:
    assert round(100 * (value("gloeckle-t1/7b-bytes-n8/mbpp@1") / value("gloeckle-t1/7b-bytes-n1/mbpp@1") - 1)) == 67
    ratio = value("gloeckle-t1/7b-bytes-n8/humaneval@1") / value("gloeckle-t1/7b-bytes-n1/humaneval@1")
    assert round(100 * (ratio - 1)) == 20


def test_the_13b_gains_are_12_1_and_17_3_percent() -> None:
    relative = [
        100 * (value(f"gloeckle-s7/13b-n4/{task}@1") / value(f"gloeckle-s7/13b-n1/{task}@1") - 1)
        for task in ("humaneval", "mbpp")
    ]
    assert [round(gain, 1) for gain in relative] == [12.1, 17.3]


def test_the_gains_at_200b_tokens_are_those_of_the_text() -> None:
    assert gains("gloeckle-t1", "7b-200b-n4", "7b-200b-n1", "mbpp") == [3.8, 2.1, 3.2]
    assert gains("gloeckle-t1", "7b-200b-n4", "7b-200b-n1", "humaneval") == [1.2, 3.7, 4.1]
    assert gains("gloeckle-t1", "7b-200b-n6", "7b-200b-n1", "apps-introductory") == [0.7, 3.0, 5.3]


def test_at_1t_tokens_four_heads_lose_on_apps_and_on_humaneval_but_for_k_100() -> None:
    assert gains("gloeckle-t1", "7b-1t-n4", "7b-1t-n1", "humaneval") == [-0.1, -0.3, 3.2]
    assert max(gains("gloeckle-t1", "7b-1t-n4", "7b-1t-n1", "apps-introductory")) < 0
    assert gains("gloeckle-t1", "7b-1t-n4", "7b-1t-n1", "mbpp")[0] == 2.4


@pytest.mark.parametrize(("text", "ratios"), [("code", [1.049, 1.094, 1.148]), ("wikipedia", [1.050, 1.094, 1.139])])
def test_a_step_with_more_heads_costs_what_the_two_columns_of_speeds_imply(text: str, ratios: list[float]) -> None:
    implied = [
        value(f"gloeckle-s2/heads-{heads}/{text}: tokens per forward")
        / value(f"gloeckle-s2/heads-{heads}/{text}: speedup")
        for heads in (2, 3, 4)
    ]
    assert implied == pytest.approx(ratios, abs=6e-4)


def test_no_decoder_of_bytes_is_faster_than_its_tokens_per_forward_or_its_heads() -> None:
    for entry in of_table("gloeckle-s3"):
        if entry.metric is Metric.SPEEDUP:
            name = entry.id.split("/")[1]
            tokens = value(f"gloeckle-s3/{name}/code: tokens per forward")
            assert float(entry.value) <= tokens <= int(name.rpartition("-")[2])
    cost = value("gloeckle-s3/n32-heads-32/code: tokens per forward") / value("gloeckle-s3/n32-heads-32/code: speedup")
    assert round(cost, 2) == 1.42


def test_the_rows_that_two_tables_share_are_equal() -> None:
    for ours, theirs in (("n1", "7b-200b-n1"), ("n4-parallel", "7b-200b-n4")):
        for task in ("mbpp", "humaneval", "apps-introductory"):
            assert row("gloeckle-s4", ours, task) == row("gloeckle-t1", theirs, task)


def test_table_1_has_an_oracle_temperature_out_of_four_for_each_cell_and_table_s7_has_none() -> None:
    assert {entry.temperature for entry in of_table("gloeckle-t1")} == {0.1, 0.2, 0.4, 0.8}
    assert {entry.selected_from for entry in of_table("gloeckle-t1")} == {4}
    assert {(entry.temperature, entry.selected_from) for entry in of_table("gloeckle-s7")} == {(None, 1)}
    temperatures = [BY_ID[f"gloeckle-t1/7b-200b-n8/apps-introductory@{k}"].temperature for k in (1, 10, 100)]
    assert temperatures == [0.2, 0.4, 0.8]


def test_table_s7_is_not_table_1() -> None:
    assert value("gloeckle-s7/6.7b-n1/mbpp@1") == 23.9
    assert value("gloeckle-t1/7b-200b-n1/mbpp@1") == 30.0
    assert {entry.num_samples for entry in of_table("gloeckle-s7")} == {1000}
    assert {entry.num_samples for entry in of_table("gloeckle-t1")} == {200}


# ---------------------------------------------------------------------------------------------------------------------
# Reading and choosing
# ---------------------------------------------------------------------------------------------------------------------


def test_a_figure_keeps_the_decimals_of_its_source() -> None:
    assert BY_ID["codet/CodeGen-Mono-16B/humaneval@10"].unit == pytest.approx(0.001)
    assert BY_ID["codex/Codex-12B/humaneval@1"].unit == pytest.approx(0.0001)
    assert BY_ID["gloeckle-t1/7b-bytes-n8/mbpp@10"].to_json()["value"] == "50.0"


def test_what_a_source_does_not_say_is_none() -> None:
    (first, second) = parse_entries(TABLE)
    assert (first.id, second.k) == ("t/model/mbpp@1", 10)
    unknown = (first.num_problems, first.num_samples, first.decoding, first.temperature, first.preset, first.checker)
    assert unknown == (None,) * 6


def test_an_absent_cell_is_no_figure() -> None:
    assert [entry.k for entry in parse_entries(TABLE.replace("2.5]", '"-"]'))] == [1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('place = "Table 1"\n', "", "lacks"),
        ('place = "Table 1"\n', 'place = "Table 1"\ntemprature = 0.2\n', "temprature"),
        ("[1.0, 2.5]", "[1.0]", "1 cells for 2 columns"),
        ("[1.0, 2.5]", "[1, 2.5]", "with its decimals"),
        ('source = "a"', 'source = "b"', "unknown source 'b'"),
        ('arxiv = "0000.00000"\n', "", "neither arxiv nor url"),
        ('"model" = [1.0, 2.5]', '"model" = [1.0, 2.5]\n"Model" = [1.0, 2.5]', "two figures have the id"),
        ("one source", "surely", "surely"),
        ("mbpp@10", "mbpp: luck", "luck"),
    ],
)
def test_a_table_that_is_not_of_the_form_is_refused(old: str, new: str, message: str) -> None:
    assert old in TABLE
    with pytest.raises(ValueError, match=message):
        parse_entries(TABLE.replace(old, new))


def test_filters_add_up() -> None:
    found = select(ENTRIES, model="codegen", task="humaneval", metric="pass@10", source="2207.10397")
    assert [entry.id for entry in found] == ["codet/CodeGen-Mono-16B/humaneval@10"]


def test_each_filter_alone_leaves_only_what_meets_it() -> None:
    assert {entry.task for entry in select(ENTRIES, task="mbpp+")} == {"mbpp+", "mbpp+ (base)"}
    assert {entry.metric for entry in select(ENTRIES, metric="speedup")} == {Metric.SPEEDUP}
    assert {entry.metric_name for entry in select(ENTRIES, metric="pass@16")} == {"pass@16"}
    assert select(ENTRIES, metric="pass@k") == SCORES
    assert {entry.source.name for entry in select(ENTRIES, source="gloeckle")} == {"gloeckle-2024"}
    assert select(ENTRIES) == list(ENTRIES)
    assert select(ENTRIES, model="no such model") == []


def test_an_id_finds_itself_and_the_beginning_of_one_finds_all_below_it() -> None:
    for entry in ENTRIES[::50]:
        assert find(ENTRIES, entry.id.upper()) == [entry]
    assert [entry.k for entry in find(ENTRIES, "codet/codegen-mono-16b")] == [10, 100]
    assert find(ENTRIES, "codet/CodeGen-Mono-16") == []
    assert len(find(ENTRIES, "gloeckle-t1")) == 99
