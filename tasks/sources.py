"""The data sets there are: who published which files, at which revision, with which bytes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


class DatasetUnavailable(Exception):
    """The data of a task cannot be had; the message says what was wanted, why it failed and what to type."""


HUB = ""
"""The address of a publication on the Hugging Face hub, which `huggingface_hub` knows better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of a publication."""

    path: str
    """Inside the publication, for example `full/test-00000-of-00001.parquet`."""
    sha256: str | None = None
    """The pin; None where nobody could vouch for one, and then what was read is reported as unpinned."""
    size_bytes: int | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """Files that together hold all rows of a data set, in the order of its rows."""

    repository: str
    """`owner/name`."""
    revision: str
    """A commit or a release tag, never a branch."""
    files: tuple[File, ...]
    address: str = HUB
    """URL with {repository}, {revision} and {path} to fill in."""
    repo_type: str = "dataset"
    """What the hub calls the kind of repository."""

    @property
    def on_hub(self) -> bool:
        """Whether `huggingface_hub` fetches it."""
        return self.address == HUB

    def url(self, file: File) -> str:
        """Where a file that is not on the hub lies."""
        return self.address.format(repository=self.repository, revision=self.revision, path=file.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One data set. Its publications have the same rows; the first that can be had is taken."""

    name: str
    """What users type after `data fetch` and before `=` in `--data NAME=PATH`."""
    publications: tuple[Publication, ...]
    num_rows: int
    licence: str
    variable: str = ""
    """Environment variable that names the file, where a tool that people know has one already."""
    packaged: tuple[str, ...] = ()
    """Package and path inside it, where an installed package brings the file of the first publication."""
    split: str = ""
    """Folder that holds these rows in the original layout of APPS."""

    @property
    def files(self) -> tuple[File, ...]:
        """Of all publications."""
        return tuple(file for publication in self.publications for file in publication.files)

    @property
    def pins(self) -> frozenset[str]:
        """Every digest that somebody vouched for."""
        return frozenset(file.sha256 for file in self.files if file.sha256 is not None)


_GITHUB_FILE = "https://raw.githubusercontent.com/{repository}/{revision}/{path}"
_GITHUB_RELEASE = "https://github.com/{repository}/releases/download/{revision}/{path}"

_GOOGLE_RESEARCH = "f82046ba5aabbbb427dbfd38a254d26bff08b533"
"""The commit that last changed MBPP."""
_MBPP_ON_HUB = "4bb6404fdc6cacfda99d4ac4205087b89d32030c"
_APPS_ON_HUB = "21e74ddf8de1a21436da12e3e653065c5213e9d1"

# The pins of HumanEval, mbpp.jsonl, sanitized-mbpp.json and both EvalPlus files were computed from the files. Those of
# files on the hub are as several independent projects published them; the commits fix the same bytes a second time.
_HUMANEVAL = Source(
    name="humaneval",
    publications=(
        Publication(
            repository="openai/human-eval",
            revision="463c980b59e818ace59f6f9803cd92c749ceae61",
            address=_GITHUB_FILE,
            files=(
                File(
                    path="data/HumanEval.jsonl.gz",
                    sha256="b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
                    size_bytes=44_877,
                ),
            ),
        ),
    ),
    num_rows=164,
    licence="MIT",
    packaged=("human_eval", "data", "HumanEval.jsonl.gz"),
)

_MBPP = Source(
    name="mbpp",
    publications=(
        Publication(
            repository="google-research/google-research",
            revision=_GOOGLE_RESEARCH,
            address=_GITHUB_FILE,
            files=(
                File(
                    path="mbpp/mbpp.jsonl",
                    sha256="ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f",
                    size_bytes=563_743,
                ),
            ),
        ),
        Publication(
            repository="google-research-datasets/mbpp",
            revision=_MBPP_ON_HUB,
            files=(
                # In this order task ids go up: 1-10, 11-510, 511-600, 601-974.
                File(path="full/prompt-00000-of-00001.parquet"),
                File(
                    path="full/test-00000-of-00001.parquet",
                    sha256="566fd53060ffba5766dace1d1e2f4c38906781526de222b0dfbdbc325b696c77",
                ),
                File(
                    path="full/validation-00000-of-00001.parquet",
                    sha256="3f0ec060987432d99fe8fb409d31e6c67445b208a01741c5583517c80a10fe80",
                ),
                File(
                    path="full/train-00000-of-00001.parquet",
                    sha256="09d125ca31edacb7800be8c67c45abff618faf0214ff551291817d06bdb914ae",
                ),
            ),
        ),
    ),
    num_rows=974,
    licence="CC BY 4.0",
)

_MBPP_SANITIZED = Source(
    name="mbpp-sanitized",
    publications=(
        Publication(
            repository="google-research/google-research",
            revision=_GOOGLE_RESEARCH,
            address=_GITHUB_FILE,
            files=(
                File(
                    path="mbpp/sanitized-mbpp.json",
                    sha256="ca95deaa9a01ef0a6f439f88bcf0dd3db3563d22f22aad6cae04ebb9a8d8c8e9",
                    size_bytes=255_053,
                ),
            ),
        ),
        Publication(
            repository="google-research-datasets/mbpp",
            revision=_MBPP_ON_HUB,
            files=(
                File(
                    path="sanitized/prompt-00000-of-00001.parquet",
                    sha256="73c623309b7b5d65fd5661204b35f779f8e66301aa9832d1ad4b8fc3b21151fd",
                    size_bytes=6_717,
                ),
                File(
                    path="sanitized/test-00000-of-00001.parquet",
                    sha256="e9e9efa2c0d59ef5e55537a9d126b8f875d5ac010a8d75628d76824884e15850",
                    size_bytes=60_864,
                ),
                File(
                    path="sanitized/validation-00000-of-00001.parquet",
                    sha256="27e065fcab3c863959933328a7fdbf404e1bcb5464b1be6fe0dcd9530e420204",
                    size_bytes=13_987,
                ),
                File(
                    path="sanitized/train-00000-of-00001.parquet",
                    sha256="d95f8ad6d2fff08fe4826122d6e3e31f75716825d0c5c340d297aca5e9e0de0e",
                    size_bytes=33_854,
                ),
            ),
        ),
    ),
    num_rows=427,
    licence="CC BY 4.0",
)

# The hub has evalplus/humanevalplus and evalplus/mbppplus too, but their rows lack the inputs as data.
_HUMANEVAL_PLUS = Source(
    name="humaneval+",
    publications=(
        Publication(
            repository="evalplus/humanevalplus_release",
            revision="v0.1.10",
            address=_GITHUB_RELEASE,
            files=(
                File(
                    path="HumanEvalPlus.jsonl.gz",
                    sha256="272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
                    size_bytes=925_932,
                ),
            ),
        ),
    ),
    num_rows=164,
    licence="Apache-2.0, MIT",
    variable="HUMANEVAL_OVERRIDE_PATH",
)

_MBPP_PLUS = Source(
    name="mbpp+",
    publications=(
        Publication(
            repository="evalplus/mbppplus_release",
            revision="v0.2.0",
            address=_GITHUB_RELEASE,
            files=(
                File(
                    path="MbppPlus.jsonl.gz",
                    sha256="af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63",
                    size_bytes=336_032,
                ),
            ),
        ),
    ),
    num_rows=378,
    licence="Apache-2.0",
    variable="MBPP_OVERRIDE_PATH",
)

# By its name alone, codeparrot/apps is a script that `datasets` 4 and newer refuses to run; its files are plain jsonl.
_APPS = Source(
    name="apps",
    publications=(
        Publication(
            repository="codeparrot/apps",
            revision=_APPS_ON_HUB,
            files=(
                File(
                    path="test.jsonl",
                    sha256="5b003a65ac40feb47dd5eaec267a767a6fc435bdcfa68ff715fe869f948e760c",
                    size_bytes=1_292_436_853,
                ),
            ),
        ),
    ),
    num_rows=5_000,
    licence="MIT",
    split="test",
)

_APPS_TRAIN = Source(
    name="apps-train",
    publications=(
        Publication(
            repository="codeparrot/apps",
            revision=_APPS_ON_HUB,
            files=(
                File(
                    path="train.jsonl",
                    sha256="45e82ef22ed8e7c0c04d881a21b923e9dd233157896b0b8d5b3493e887499cae",
                    size_bytes=107_101_272,
                ),
            ),
        ),
    ),
    num_rows=5_000,
    licence="MIT",
    split="train",
)

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (_HUMANEVAL, _MBPP, _MBPP_SANITIZED, _HUMANEVAL_PLUS, _MBPP_PLUS, _APPS, _APPS_TRAIN)
}


def find_source(name: str) -> Source:
    """The data set called `name`.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"unknown data set {name!r}; accepted: {', '.join(SOURCES)}{hint}")
    return SOURCES[name]
