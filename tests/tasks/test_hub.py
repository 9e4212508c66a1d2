"""Fetching as it really happens: a child process with the real hub library, and a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub

REPOSITORY = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = b'{"id": 0}\n{"id": 1}\n'
CARD = b"# a small file that lies in git itself\n"
SHA256 = hashlib.sha256(ROWS).hexdigest()

# Who tries again after a pause looks up the host again: counting that shows patience without a clock.
LOCATE = """
import json, sys

lookups = []
sys.addaudithook(lambda event, arguments: lookups.append(arguments) if event == "socket.getaddrinfo" else None)

from tasks.data import DatasetUnavailable, locate_source
from tasks.sources import File, Publication, Source

publications = [
    Publication(**{**given, "files": tuple(File(**file) for file in given["files"])})
    for given in json.loads(sys.argv[1])
]
source = Source(name="thing", publications=tuple(publications), num_rows=2, licence="MIT")
try:
    located = locate_source(source, {}, patience_s=60.0)
    answer = {"paths": located.paths, "origin": located.origin.value, "digests": located.digests}
    answer["unpinned"] = located.unpinned
except DatasetUnavailable as error:
    answer = {"error": str(error)}
print(json.dumps({**answer, "lookups": len(lookups)}))
"""

Locate = Callable[..., dict[str, Any]]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub({"owner/thing": {COMMIT: {"test.jsonl": ROWS, "README.md": CARD}, "v1": {"test.jsonl": ROWS}}})
    yield fake
    fake.close()


@pytest.fixture
def locate(hub: FakeHub, tmp_path: Path) -> Locate:
    """`tasks.data.locate_source` in a process whose caches are empty at first."""

    def run(*publications: dict[str, Any], **variables: str) -> dict[str, Any]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HARNESS_"))}
        environment = {
            **kept,
            "PYTHONPATH": str(REPOSITORY),
            "HF_HOME": str(tmp_path / "hub"),
            "HF_ENDPOINT": hub.url,
            "HARNESS_CACHE_DIR": str(tmp_path / "cache"),
            "https_proxy": "http://127.0.0.1:1",  # nothing listens there, so nothing leaves this machine
            "no_proxy": "127.0.0.1",
            **variables,
        }
        command = [sys.executable, "-W", "error", "-c", LOCATE, json.dumps(publications or [published()])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


def published(sha256: str | None = SHA256, path: str = "test.jsonl", **changed: str) -> dict[str, Any]:
    return {
        "repository": "owner/thing",
        "revision": COMMIT,
        "files": [{"path": path, "sha256": sha256}],
        **changed,
    }


def test_what_is_nowhere_on_this_machine_is_fetched_from_the_hub(locate: Locate) -> None:
    found = locate()
    assert (found["origin"], found["digests"]) == ("download", {"test.jsonl": SHA256})
    assert Path(found["paths"][0]).read_bytes() == ROWS


def test_a_small_file_that_the_hub_keeps_in_git_is_fetched_too(locate: Locate) -> None:
    found = locate(published(hashlib.sha256(CARD).hexdigest(), "README.md"))
    assert Path(found["paths"][0]).read_bytes() == CARD


def test_what_was_fetched_once_is_found_while_the_hub_is_gone(locate: Locate, hub: FakeHub) -> None:
    cold = locate()
    hub.close()
    warm = locate()
    assert (warm["origin"], warm["paths"], warm["digests"]) == ("cache", cold["paths"], cold["digests"])


def test_a_warm_cache_asks_the_hub_nothing(locate: Locate, hub: FakeHub) -> None:
    locate()
    asked = len(hub.requests)
    locate()
    assert asked > 0
    assert len(hub.requests) == asked


def test_a_release_tag_is_found_in_the_cache_as_a_commit_is(locate: Locate, hub: FakeHub) -> None:
    locate(published(revision="v1"))
    hub.close()
    assert locate(published(revision="v1"))["origin"] == "cache"


def test_offline_mode_with_an_empty_cache_is_one_error_that_says_what_to_type(locate: Locate, hub: FakeHub) -> None:
    error = locate(HF_HUB_OFFLINE="1")["error"]
    assert "test.jsonl of owner/thing at 0123456789ab: HF_HUB_OFFLINE forbids it" in error
    assert "python -m harness data fetch thing" in error
    assert "--data thing=PATH" in error
    assert hub.requests == []


def test_offline_mode_with_a_warm_cache_finds_the_file(locate: Locate) -> None:
    locate()
    assert locate(HF_HUB_OFFLINE="1")["origin"] == "cache"


def test_a_hub_that_refuses_connections_is_tried_once(locate: Locate, hub: FakeHub) -> None:
    hub.close()
    answer = locate()
    assert "Connection refused" in answer["error"]
    assert "python -m harness data fetch thing" in answer["error"]
    assert answer["lookups"] == 1


def test_a_host_without_an_address_is_looked_up_once(locate: Locate) -> None:
    answer = locate(HF_ENDPOINT="http://no-such-host.invalid")
    assert "no-such-host.invalid" in answer["error"]
    assert answer["lookups"] == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_hub_that_is_out_of_order_is_asked_once(locate: Locate, hub: FakeHub, status: int) -> None:
    hub.status = status
    answer = locate()
    assert str(status) in answer["error"]
    assert [request for request in hub.requests if "/resolve/" in request] == [
        f"HEAD /datasets/owner/thing/resolve/{COMMIT}/test.jsonl"
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"path": "nothing.jsonl"}, "Entry Not Found"),
        ({"revision": "f" * 40}, "Revision Not Found"),
        ({"repository": "owner/nothing"}, "Repository Not Found"),
    ],
)
def test_what_the_hub_does_not_have_is_named(locate: Locate, changed: dict[str, str], words: str) -> None:
    error = locate(published(**changed))["error"]  # type: ignore[arg-type]  # some of them are the parameters themselves
    assert words in error


def test_other_bytes_than_the_pinned_ones_are_an_error_that_names_both_digests(locate: Locate) -> None:
    for _ in ("fetched", "from the cache"):
        error = locate(published("0" * 64))["error"]
        assert SHA256 in error
        assert "0" * 64 in error
        assert "data fetch thing" in error
        assert "--data thing=" in error


def test_the_file_that_an_error_says_to_remove_is_the_one_that_is_in_the_way(locate: Locate) -> None:
    error = locate(published("0" * 64))["error"]
    blob = Path(error.partition("remove ")[2].partition(" and type")[0])
    assert blob.read_bytes() == ROWS
    blob.unlink()
    assert locate()["origin"] == "download"


def test_a_file_without_a_pin_is_fetched_and_reported_as_unpinned(locate: Locate) -> None:
    assert locate(published(None))["unpinned"] == ["test.jsonl"]
    assert locate(published())["unpinned"] == []


def plain(hub: FakeHub, sha256: str | None = SHA256, path: str = "test.jsonl") -> dict[str, Any]:
    return published(sha256, path, address=f"{hub.url}/plain/{{repository}}/{{revision}}/{{path}}")


def test_a_file_of_another_host_is_fetched_and_kept(locate: Locate, hub: FakeHub) -> None:
    cold = locate(plain(hub))
    assert Path(cold["paths"][0]).read_bytes() == ROWS
    assert hub.requests == [f"GET /plain/owner/thing/{COMMIT}/test.jsonl"]
    hub.close()
    warm = locate(plain(hub))
    assert (warm["origin"], warm["paths"]) == ("cache", cold["paths"])


def test_other_bytes_from_another_host_are_never_kept(locate: Locate, hub: FakeHub, tmp_path: Path) -> None:
    error = locate(plain(hub, "0" * 64))["error"]
    assert SHA256 in error
    assert "0" * 64 in error
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_file_that_another_host_does_not_have_is_named(locate: Locate, hub: FakeHub) -> None:
    assert (
        "nothing.jsonl of owner/thing at 0123456789ab: HTTP Error 404"
        in locate(plain(hub, None, "nothing.jsonl"))["error"]
    )


def test_the_second_publication_stands_in_for_one_that_cannot_be_had(locate: Locate, hub: FakeHub) -> None:
    found = locate(plain(hub, path="nothing.jsonl"), published())
    assert (found["origin"], found["digests"]) == ("download", {"test.jsonl": SHA256})


def test_where_no_publication_can_be_had_each_has_its_reason(locate: Locate, hub: FakeHub) -> None:
    error = locate(plain(hub, path="nothing.jsonl"), published(revision="f" * 40))["error"]
    assert "HTTP Error 404" in error
    assert "Revision Not Found" in error


def test_a_cache_that_cannot_be_written_is_an_error_that_says_what_to_set(
    locate: Locate, hub: FakeHub, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    error = locate(plain(hub), HARNESS_CACHE_DIR=str(tmp_path / "file"))["error"]
    assert "HARNESS_CACHE_DIR=FOLDER" in error
