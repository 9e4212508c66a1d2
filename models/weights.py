"""Weights in files: mapped into memory, checked against a shape, and converted one at a time.

A model is never in memory twice: what has been copied out of a mapped file is given back to the system at once.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import mmap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.backend import ModelUnavailable
from models.mtp import MTPConfig, MTPTransformer

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_COMPUTED = ("freqs", "freqs_cis", "inv_freq")
"""Rotations, which some programs store although they follow from the shape."""


class WeightFiles(Protocol):
    """Tensors by name, read when they are asked for."""

    folder: Path
    files: list[str]

    @property
    def names(self) -> set[str]: ...

    def get(self, name: str) -> Tensor: ...


class SafetensorsFiles:
    """One or more files of safetensors.

    Raises:
        ModelUnavailable: one of them is absent or torn.
    """

    def __init__(self, folder: Path, files: list[str]) -> None:
        from safetensors import SafetensorError, safe_open

        self.folder = folder
        self.files = files
        self._where: dict[str, Any] = {}
        for file in files:
            try:
                opened = safe_open(str(folder / file), framework="pt")
            except (OSError, SafetensorError) as error:
                raise ModelUnavailable(
                    f"{folder / file} cannot be read: {error}; a whole file of safetensors is accepted; fetch it again"
                ) from error
            self._where |= dict.fromkeys(opened.keys(), opened)

    @property
    def names(self) -> set[str]:
        return set(self._where)

    def get(self, name: str) -> Tensor:
        tensor: Tensor = self._where[name].get_tensor(name)
        return tensor


class TorchFile:
    """One file of `torch.save` with a dictionary of tensors.

    Raises:
        ModelUnavailable: it is absent, torn, or holds something else.
    """

    def __init__(self, folder: Path, file: str) -> None:
        self.folder = folder
        self.files = [file]
        try:
            content = torch.load(folder / file, map_location="cpu", mmap=True, weights_only=True)
        except Exception as error:  # pickles, zips and files fail in many ways
            raise ModelUnavailable(
                f"{folder / file} cannot be read: {_first_line(error)}; "
                f"a whole file of torch.save with nothing but tensors is accepted; fetch it again"
            ) from error
        if not isinstance(content, dict):
            raise ModelUnavailable(f"{folder / file} holds a {type(content).__name__}; accepted: tensors by name")
        self._tensors: dict[str, Tensor] = {
            str(name): value for name, value in content.items() if isinstance(value, Tensor)
        }

    @property
    def names(self) -> set[str]:
        return set(self._tensors)

    def get(self, name: str) -> Tensor:
        return self._tensors[name]


def filled(
    config: MTPConfig,
    weights: WeightFiles,
    *,
    device: str | torch.device,
    dtype: torch.dtype | None,
    theirs: Callable[[str], str] = str,
    ordered: Callable[[str, Tensor], Tensor] = lambda _, weight: weight,
    unused: Iterable[str] = (),
) -> MTPTransformer:
    """A model of that shape with those weights, ready to answer.

    Args:
        config: the shape.
        weights: the files.
        device: where the model goes.
        dtype: what weights are converted to; None for what they are stored in, and where that is not one type, for
            the one that holds them all.
        theirs: from the name of a parameter to its name in the files.
        ordered: from the name of a parameter and what the files have to its value.
        unused: names in the files that are known to be without use.

    Raises:
        ModelUnavailable: the weights are not those of such a model.
    """
    model = _empty(config, weights.folder)
    wanted = dict(model.named_parameters())
    places = {name: theirs(name) for name in wanted}
    _check_names(weights, list(places.values()), set(unused))
    dtype = dtype or functools.reduce(torch.promote_types, (_dtype(weights, place) for place in places.values()))
    for name, empty in wanted.items():
        stored = _get(weights, places[name])
        if stored.shape != empty.shape:
            raise ModelUnavailable(
                f"{weights.folder}: {places[name]} is {list(stored.shape)}, not {list(empty.shape)}; "
                f"the weights and the description beside them are of unlike models"
            )
        # A copy in any case: what is mapped changes with its file, and would be read from the disk again and again.
        kept = torch.empty(empty.shape, dtype=dtype, device=device).copy_(ordered(name, stored))
        _give_back(stored)
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, nn.Parameter(kept, requires_grad=False))
    return model.eval()


def _empty(config: MTPConfig, folder: Path) -> MTPTransformer:
    try:
        with torch.device("meta"):
            return MTPTransformer(config)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise ModelUnavailable(f"{folder} describes a model that cannot be: {_first_line(error)}") from error


def _check_names(weights: WeightFiles, wanted: list[str], unused: set[str]) -> None:
    missing = [name for name in wanted if name not in weights.names]
    if missing:
        raise ModelUnavailable(
            f"{weights.folder} lacks the weight {_some(missing)}; the description beside the weights asks for them"
        )
    # What has no place would be left out of the answer, which then is that of another model.
    placeless = sorted(weights.names - set(wanted) - unused)
    placeless = [name for name in placeless if name.rpartition(".")[2] not in _COMPUTED]
    if placeless:
        raise ModelUnavailable(
            f"{weights.folder} has the weight {_some(placeless)}, which a model as described beside it has no place for"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _dtype(weights: WeightFiles, name: str) -> torch.dtype:
    dtype = _get(weights, name).dtype
    if dtype not in _DTYPES:
        accepted = ", ".join(str(one).removeprefix("torch.") for one in _DTYPES)
        raise ModelUnavailable(
            f"{weights.folder}: {name} is stored as {str(dtype).removeprefix('torch.')}; accepted: {accepted}"
        )
    return dtype


def _get(weights: WeightFiles, name: str) -> Tensor:
    try:
        return weights.get(name)
    except Exception as error:  # neither library says what it raises
        raise ModelUnavailable(f"{weights.folder}: {name} cannot be read: {_first_line(error)}") from error


def _give_back(mapped: Tensor) -> None:
    """Lets go of the whole pages of a tensor that is not used any more; the file still has them."""
    first = -(-mapped.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (mapped.data_ptr() + mapped.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first and mapped.is_contiguous():
        # Advice: where it is not taken, the system takes the pages back when it needs them.
        _libc().madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def read_json(path: Path) -> dict[str, Any]:
    """A file with one JSON object.

    Raises:
        ModelUnavailable: it is absent, or something else.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}; a JSON object is accepted") from error
    if not isinstance(content, dict):
        raise ModelUnavailable(f"{path} holds a JSON {type(content).__name__}; a JSON object is accepted")
    return content


def digest(folder: Path, files: Iterable[str]) -> str:
    """sha256 over the sha256 of each file, in this order."""
    total = hashlib.sha256()
    for name in files:
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def checked(values: Mapping[str, Any], path: Path) -> MTPConfig:
    """A shape from values that came out of a file.

    Raises:
        ModelUnavailable: they describe none.
    """
    kinds: dict[str, tuple[type, ...]] = {"head_type": (str,), "rope_theta": (int, float), "norm_eps": (int, float)}
    try:
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, kinds.get(name, (int,))):
                raise ValueError(f"{name} is {value!r}; accepted: {kinds.get(name, (int,))[-1].__name__}")
        for name in ("rope_theta", "norm_eps"):
            if name in values and not 0 < values[name] < float("inf"):
                raise ValueError(f"{name} must be a number above 0, not {values[name]}")
        return MTPConfig(**values)
    except (TypeError, ValueError) as error:
        raise ModelUnavailable(f"{path} does not describe a model: {error}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
