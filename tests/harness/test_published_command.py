"""`published list` and `published claim`: what they print and what they refuse."""

from __future__ import annotations

import json

import pytest

from harness.config import UsageError
from harness.published import load_entries
from harness.published_command import claim, list_figures


def ids(output: str) -> list[str]:
    """The ids in a printed table: all lines between the header and the summary."""
    lines = output.splitlines()
    return [line.split("  ")[0] for line in lines[1 : lines.index("")]]


def test_the_list_without_filters_has_every_figure_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_figures() == 0
    output = capsys.readouterr().out
    assert ids(output) == [entry.id for entry in load_entries()]
    assert f"{len(load_entries())} figures" in output


def test_the_list_shows_value_protocol_certainty_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    list_figures(model="13b-n4", task="humaneval", metric="pass@1")
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gloeckle-s7/")]
    for part in ("15.8", "164", "1000", "T=?", "two sources", "arXiv 2404.19737, Table S7"):
        assert part in line


def test_the_list_says_that_a_temperature_is_an_oracles(capsys: pytest.CaptureFixture[str]) -> None:
    list_figures(model="7b-200b-n4", task="humaneval", metric="pass@10", source="Table 1")
    assert "T=0.8, best of 4 or more" in capsys.readouterr().out


def test_filters_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    list_figures(model="codegen-mono-16b", task="humaneval", source="2207.10397", metric="pass@100")
    assert ids(capsys.readouterr().out) == ["codet/CodeGen-Mono-16B/humaneval@100"]


def test_the_list_as_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    list_figures(model="SantaCoder", metric="pass@1", task="humaneval", as_json=True)
    [row] = json.loads(capsys.readouterr().out)
    assert row["value"] == "17.253049"
    assert (row["samples"], row["temperature"], row["preset"], row["decoding"]) == (
        200,
        0.2,
        "bigcode-strip",
        "sampled",
    )
    assert row["arxiv"] is None
    assert row["address"].startswith("https://huggingface.co/datasets/bigcode/")


@pytest.mark.parametrize("filters", [{"model": "no such"}, {"task": "humanevil"}, {"metric": "pass@7"}])
def test_filters_that_nothing_meets_are_answered_with_what_there_is(filters: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"humaneval, .*pass@k, pass@1"):
        list_figures(**filters)


def test_the_claim_at_13b_is_recomputed_with_what_it_shows_and_what_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert claim() == 0
    text = capsys.readouterr().out
    for part in ("15.8 (MTP 13b-n4) against 14.1 (MTP 13b-n1)", "30.5 (MTP 13b-n4) against 26.0 (MTP 13b-n1)"):
        assert part in text
    for part in ("+1.7 points, +12.1 % relative", "+4.5 points, +17.3 % relative", "one training run"):
        assert part in text
    assert text.count("with new completions: shown") == 2
    assert text.count("on other problems of this kind: cannot be decided") == 2


def test_the_claim_as_json_has_the_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    claim("7b-200b", as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 6
    assert rows[0]["figure"] == "gloeckle-t1/7b-200b-n4/humaneval@1"
    assert round(100 * rows[0]["completions_half"], 2) == 0.65


def test_an_unknown_claim_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="13b, 7b-200b"):
        claim("70b")
