"""One file of a publication: as it lies in a cache, or fetched into one."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tasks.cache import cache_folder, write_whole
from tasks.sources import File, Publication

KNOCK_S = 1.5
"""How long a command waits for hosts to accept a connection before it says that there is no network."""
PATIENT_KNOCK_S = 10.0
"""The same for a command whose purpose is to fetch."""
ANSWER_S = 10.0
"""How long a host that has accepted a connection may be silent."""

_CHUNK_BYTES = 1 << 20


class DownloadError(Exception):
    """A file cannot be fetched; the message is the reason alone."""


def in_cache(publication: Publication, file: File) -> str | None:
    """The path of a file that was fetched before; the network is not asked."""
    if publication.on_hub:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(
            publication.repository, file.path, revision=publication.revision, repo_type=publication.repo_type
        )
        return found if isinstance(found, str) else None
    path = _own_path(publication, file)
    return str(path) if path.is_file() else None


def fetch(publication: Publication, file: File) -> str:
    """Fetches one file of a publication that is not `unreachable` into the hub's cache or our own; its path.

    Raises:
        DownloadError: it cannot be had.
    """
    return _from_hub(publication, file) if publication.on_hub else _from_web(publication, file)


def unreachable(publications: Iterable[Publication], patience_s: float) -> dict[Publication, str]:
    """The publications whose host accepts no connection within `patience_s`, all asked at once, and why."""
    if _is_offline():
        return dict.fromkeys(publications, "HF_HUB_OFFLINE forbids it")
    urls = {publication: _address(publication) for publication in publications}
    answers = _ask_all({publication: _knock(url, patience_s) for publication, url in urls.items()}, patience_s)
    silent = f"no answer within {patience_s:g} s"
    return {
        publication: f"{urlsplit(url).netloc}: {answers.get(publication, silent)}"
        for publication, url in urls.items()
        if answers.get(publication, silent)
    }


def _ask_all(questions: dict[Publication, Callable[[], str]], patience_s: float) -> dict[Publication, str]:
    answers: dict[Publication, str] = {}

    def ask(publication: Publication) -> None:
        answers[publication] = questions[publication]()

    # Threads that nobody waits for: without a name server, looking up a name takes tens of seconds and obeys no limit.
    threads = [threading.Thread(target=ask, args=(publication,), daemon=True) for publication in questions]
    deadline = time.monotonic() + patience_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)


def _knock(url: str, patience_s: float) -> Callable[[], str]:
    def knock() -> str:
        try:
            socket.create_connection(_door(url), timeout=patience_s).close()
        except OSError as error:
            return error.strerror or str(error)
        return ""

    return knock


def _door(url: str) -> tuple[str, int]:
    """Host and port that a request for `url` connects to first: its own, or those of a proxy."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


# ---------------------------------------------------------------------------------------------------------------------
# The Hugging Face hub
# ---------------------------------------------------------------------------------------------------------------------


def _address(publication: Publication) -> str:
    return _hub_url(publication, publication.files[0]) if publication.on_hub else publication.address


def _hub_url(publication: Publication, file: File) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(publication.repository, file.path, repo_type=publication.repo_type, revision=publication.revision)


def _from_hub(publication: Publication, file: File) -> str:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download

    try:
        # Asked first without the hub's own patience: 5 tries and 23 s, whatever the reason.
        get_hf_file_metadata(_hub_url(publication, file), timeout=ANSWER_S)
        return hf_hub_download(
            publication.repository,
            file.path,
            repo_type=publication.repo_type,
            revision=publication.revision,
            etag_timeout=ANSWER_S,
        )
    except Exception as error:  # from release to release the hub lets through errors of requests, httpx and httpx2
        raise DownloadError(_first_words(error)) from error


def _first_words(error: Exception) -> str:
    """The hub writes paragraphs; what happened stands in the first two lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines[:2] if not line.startswith("For more")).rstrip(".") or type(error).__name__


# ---------------------------------------------------------------------------------------------------------------------
# Other hosts
# ---------------------------------------------------------------------------------------------------------------------


def _own_path(publication: Publication, file: File) -> Path:
    return cache_folder() / "files" / publication.repository / publication.revision / file.path


def _from_web(publication: Publication, file: File) -> str:
    path = _own_path(publication, file)
    write_whole(path, _checked_chunks(publication.url(file), file.sha256))
    return str(path)


def _checked_chunks(url: str, sha256: str | None) -> Iterator[bytes]:
    """The bytes at `url`; the last of them are held back until the digest is right."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
            while chunk := answer.read(_CHUNK_BYTES):
                digest.update(chunk)
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(str(error) or type(error).__name__) from error
    if sha256 not in (None, digest.hexdigest()):
        raise DownloadError(f"what came has sha256 {digest.hexdigest()}, but its pin is {sha256}")
