"""Which modules a program can import, and the part of the file system that takes."""

from __future__ import annotations

import glob
import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.program import SandboxUnavailable

POLICIES = ("stdlib", "numpy", "host")
"""`stdlib`: the standard library alone. `numpy`: and numpy. `host`: everything the harness itself can import."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_INSIDE = "/packages"


@dataclass(frozen=True, kw_only=True, slots=True)
class Packages:
    """A policy, resolved on this machine."""

    policy: str
    binds: tuple[str, ...]
    masks: tuple[str, ...]
    moves: tuple[tuple[str, str], ...] = ()
    """(path outside, path inside) of third-party packages; inside they have a place of their own, because outside they
    may lie in a directory, such as /tmp, that a box has for other things."""
    searched: tuple[tuple[str, str], ...] = ()
    """(path outside, path inside) of the directories that are added to the end of `sys.path`."""
    preload: tuple[str, ...] = ()
    """Imported before any program runs, so that each finds them warm."""
    versions: dict[str, str] = field(default_factory=dict)
    """Third-party distributions a program can import; part of what a number covers."""

    def settings(self, *, moved: bool = True) -> dict[str, Any]:
        """What a zygote has to know; with `moved`, in a box that has a file system of its own."""
        tree = {"binds": list(self.binds), "masks": list(self.masks), "moves": [list(move) for move in self.moves]}
        import_path = [inside if moved else outside for outside, inside in self.searched]
        return {"tree": tree, "import_path": import_path, "preload": list(self.preload)}


def resolve(policy: str) -> Packages:
    """The directories to show, hide and search for `policy`.

    Raises:
        ValueError: an unknown policy.
        SandboxUnavailable: `numpy` was asked for and is not installed.
    """
    if policy not in POLICIES:
        raise ValueError(f"unknown package policy {policy!r}; accepted: {', '.join(POLICIES)}")
    binds = _standard_binds()
    standard = Packages(policy=policy, binds=binds, masks=_third_party(binds))
    if policy == "numpy":
        return _with_numpy(standard)
    return standard if policy == "stdlib" else _with_everything(standard)


def _with_numpy(standard: Packages) -> Packages:
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        raise SandboxUnavailable("--packages numpy needs numpy, which is not installed; type: pip install numpy")
    package = os.path.dirname(os.path.realpath(spec.origin))
    libraries = package + ".libs"  # where wheels keep their shared libraries
    moves = [(package, f"{_INSIDE}/numpy")]
    if os.path.isdir(libraries):
        moves.append((libraries, f"{_INSIDE}/numpy.libs"))
    return replace(
        standard,
        moves=tuple(moves),
        searched=((os.path.dirname(package), _INSIDE),),
        preload=("numpy", "numpy.random"),
        versions={"numpy": importlib.metadata.version("numpy")},
    )


def _with_everything(standard: Packages) -> Packages:
    paths = sysconfig.get_paths()
    candidates = [*site.getsitepackages(), paths["purelib"], paths["platlib"]]
    found = dict.fromkeys(os.path.realpath(path) for path in candidates if os.path.isdir(path))
    moves = tuple((path, f"{_INSIDE}/{number}") for number, path in enumerate(found))
    versions = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
    return replace(standard, moves=moves, searched=moves, versions=dict(sorted(versions.items())))


def _standard_binds() -> tuple[str, ...]:
    """The system's libraries and this interpreter's standard library."""
    binds = [path for path in _SYSTEM if os.path.lexists(path)]
    paths = sysconfig.get_paths()
    for path in (os.path.join(sys.base_prefix, "lib"), paths["stdlib"], paths["platstdlib"]):
        resolved = os.path.realpath(path)
        if os.path.isdir(resolved) and not _below(resolved, tuple(binds)):
            binds.append(resolved)
        if path != resolved and os.path.isdir(path) and not _below(path, tuple(binds)):
            binds.append(path)
    return tuple(binds)


def _third_party(binds: tuple[str, ...]) -> tuple[str, ...]:
    """Directories of installed packages that lie inside what is shown."""
    roots = [path for path in binds if os.path.isdir(path) and not os.path.islink(path)]
    patterns = [
        f"{depth}{kind}-packages" for depth in ("", "*/", "lib/*/", "local/lib/*/") for kind in ("site", "dist")
    ]
    found = [path for root in roots for pattern in patterns for path in glob.glob(os.path.join(root, pattern))]
    return tuple(dict.fromkeys(path for path in found if os.path.isdir(path) and not os.path.islink(path)))


def _below(path: str, parents: tuple[str, ...]) -> bool:
    return any(path == parent or path.startswith(parent.rstrip("/") + "/") for parent in parents)
