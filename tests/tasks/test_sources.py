from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tasks.data import sha256_of
from tasks.humaneval import PUBLISHED_SHA256
from tasks.rows import count_rows
from tasks.sources import SOURCES, File, Publication, Source, find_source

REPOSITORY = Path(__file__).parents[2]
REALDATA = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data"))

PUBLICATIONS = [
    pytest.param(publication, id=f"{source.name}-{publication.repository}")
    for source in SOURCES.values()
    for publication in source.publications
]


@pytest.mark.parametrize("publication", PUBLICATIONS)
def test_a_revision_is_a_commit_or_a_release_never_a_branch(publication: Publication) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}|v\d+\.\d+\.\d+", publication.revision)


@pytest.mark.parametrize("publication", PUBLICATIONS)
def test_a_pin_is_a_whole_sha256(publication: Publication) -> None:
    assert all(file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in publication.files)


@pytest.mark.parametrize("publication", [param for param in PUBLICATIONS if not param.values[0].on_hub])  # type: ignore[union-attr]  # a Publication
def test_what_no_hub_keeps_by_commit_is_pinned_and_has_an_address(publication: Publication) -> None:
    for file in publication.files:
        assert file.sha256 is not None
        assert re.fullmatch(rf"https://[^{{}}]+/{publication.revision}/{re.escape(file.path)}", publication.url(file))


def test_a_pin_belongs_to_one_file_only() -> None:
    pins = [file.sha256 for source in SOURCES.values() for file in source.files if file.sha256 is not None]
    assert len(pins) == len(set(pins))


def test_the_files_of_a_publication_have_different_names() -> None:
    for source in SOURCES.values():
        for publication in source.publications:
            assert len({file.name for file in publication.files}) == len(publication.files)


def test_the_pin_of_humaneval_is_the_one_the_task_states() -> None:
    assert find_source("humaneval").pins == {PUBLISHED_SHA256}


def test_only_the_files_that_nobody_vouched_for_are_unpinned() -> None:
    unpinned = {file.path for source in SOURCES.values() for file in source.files if file.sha256 is None}
    assert unpinned == {"full/prompt-00000-of-00001.parquet"}


def test_an_unknown_name_is_an_error_that_lists_the_names_and_guesses() -> None:
    with pytest.raises(ValueError, match=r"unknown data set 'mbbp'; accepted: .*mbpp-sanitized.*; did you mean mbpp\?"):
        find_source("mbbp")


def test_a_source_knows_the_files_of_all_its_publications() -> None:
    files = [File(path="a/x.jsonl", sha256="1" * 64), File(path="y.parquet")]
    publications = tuple(Publication(repository="o/r", revision="v1.0.0", files=(file,)) for file in files)
    source = Source(name="s", publications=publications, num_rows=1, licence="MIT")
    assert (source.files, source.pins) == (tuple(files), {"1" * 64})


@pytest.mark.realdata
@pytest.mark.skipif(not (REALDATA / "mbpp").is_dir(), reason=f"{REALDATA} does not hold mbpp; see HARNESS_REALDATA")
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mbpp", "mbpp/mbpp.jsonl"),
        ("mbpp-sanitized", "mbpp/sanitized-mbpp.json"),
        ("humaneval+", "evalplus/HumanEvalPlus.jsonl.gz"),
        ("mbpp+", "evalplus/MbppPlus.jsonl.gz"),
    ],
)
def test_the_real_file_has_the_pinned_bytes_size_and_rows(name: str, path: str) -> None:
    source, real = find_source(name), REALDATA / path
    (file,) = source.publications[0].files
    assert (file.name, file.sha256, file.size_bytes) == (real.name, sha256_of(str(real)), real.stat().st_size)
    assert count_rows(str(real)) == source.num_rows
