"""A container image made of this machine's own Python: no registry, no build, the same interpreter as the local box."""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.packages import Packages

LABEL = "mtp-harness"
"""On every image and container of ours, so that leftovers can be found."""

HOME = "/harness"
"""Where our own code lies in the image."""

_LEFT_OUT = frozenset(
    {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "lib2to3", "turtledemo"}
)
_MOUNT_POINTS = ("tmp", "dev", "proc", "sys", "etc", "control", "packages")


def ensure(client: Any, base: str | None = None) -> str:
    """The id of the image for this interpreter, built unless the daemon has it.

    Args:
        client: a `docker.DockerClient`.
        base: the name of an image to use instead; it must hold a `python3` of 3.11 or newer.

    Raises:
        docker.errors.DockerException: the daemon refuses.
    """
    if base is not None:
        return str(client.images.get(base).id)
    files = dict(_files())
    name = f"{LABEL}:{_fingerprint(files)}"
    import docker.errors

    try:
        return str(client.images.get(name).id)
    except docker.errors.ImageNotFound:
        pass
    repository, _, tag = name.partition(":")
    client.api.import_image_from_data(_archive(files), repository=repository, tag=tag, changes=[f"LABEL {LABEL}=image"])
    built = str(client.images.get(name).id)
    _forget_others(client, built)
    return built


def _forget_others(client: Any, kept: str) -> None:
    """Removes images of ours that older code or another interpreter left behind, unless something still uses them."""
    import docker.errors

    for found in client.images.list(filters={"label": f"{LABEL}=image"}):
        if found.id != kept:
            with contextlib.suppress(docker.errors.APIError):
                client.images.remove(found.id)


def interpreter() -> str:
    """The path of the interpreter, the same inside as outside."""
    return os.path.realpath(sys.executable)


def _files() -> Iterator[tuple[str, str]]:
    """(path inside, path outside) of everything the image holds."""
    libraries = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")}
    binaries = [interpreter()]
    for library in sorted(libraries):
        for folder, subfolders, names in os.walk(library):
            subfolders[:] = [name for name in subfolders if name not in _LEFT_OUT]
            for name in names:
                path = os.path.join(folder, name)
                yield path, path
                if name.endswith(".so"):
                    binaries.append(path)
    yield interpreter(), interpreter()
    for library in _shared_libraries(binaries):
        yield library, os.path.realpath(library)
    own = os.path.dirname(os.path.abspath(__file__))
    for name in sorted(os.listdir(own)):
        if name.endswith(".py"):
            yield f"{HOME}/sandbox/{name}", os.path.join(own, name)


def _shared_libraries(binaries: Iterable[str]) -> list[str]:
    """Every shared library that the binaries load, the dynamic loader among them."""
    listed = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False).stdout
    return sorted(set(re.findall(r"(?:=>\s*|^\s*)(/\S+)\s+\(0x", listed, re.MULTILINE)))


def _fingerprint(files: dict[str, str]) -> str:
    state = hashlib.sha256()
    for inside, outside in sorted(files.items()):
        facts = os.stat(outside)
        state.update(f"{inside}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return state.hexdigest()[:16]


def _archive(files: dict[str, str]) -> bytes:
    """An uncompressed tar: the daemon unpacks it at once."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in _folders(files):
            folder = tarfile.TarInfo(name)
            # A tmpfs takes over the mode of the directory that it hides.
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
        for inside, outside in sorted(files.items()):
            member = tarfile.TarInfo(inside.lstrip("/"))
            with open(outside, "rb") as file:
                member.size = os.fstat(file.fileno()).st_size
                member.mode = 0o755 if os.access(outside, os.X_OK) else 0o644
                archive.addfile(member, file)
    return buffer.getvalue()


def _folders(files: Iterable[str]) -> list[str]:
    """Every directory of the image, parents first, readable by everybody."""
    found = set(_MOUNT_POINTS)
    for path in files:
        folder = os.path.dirname(path).lstrip("/")
        while folder:
            found.add(folder)
            folder = os.path.dirname(folder)
    return sorted(found)


def own_code() -> dict[str, dict[str, str]]:
    """The bind mount that brings our own code into an image that is not ours."""
    own = os.path.dirname(os.path.abspath(__file__))
    return {own: {"bind": f"{HOME}/sandbox", "mode": "ro"}}


def volumes(packages: Packages) -> dict[str, dict[str, str]]:
    """The bind mounts that bring third-party packages into a container."""
    return {outside: {"bind": inside, "mode": "ro"} for outside, inside in packages.moves}


@functools.lru_cache(maxsize=4)
def libraries(moves: tuple[tuple[str, str], ...]) -> dict[str, dict[str, str]]:
    """The bind mounts of what the binaries of packages load from elsewhere and our image lacks: libstdc++, for one."""
    folders = tuple(outside for outside, _ in moves)
    binaries = [path for folder in folders for path in glob.glob(f"{folder}/**/*.so*", recursive=True)]
    lacking = set(_shared_libraries(binaries)) - set(_shared_libraries([interpreter()])) if binaries else set()
    elsewhere = [path for path in sorted(lacking) if not os.path.realpath(path).startswith(folders)]
    return {os.path.realpath(path): {"bind": path, "mode": "ro"} for path in elsewhere}
