"""The only values that may cross between the grader and a candidate: exact builtin data.

A payload is one kind byte and a body in marshal format 2, the oldest that holds every builtin value and the
same in every supported Python. The body of a *plain* payload is the value; the body of a *rich* payload is a tree of
`(tag, ...)` tuples for the few further types whose values are data too (Counter, Decimal, range, numpy arrays...).

The grader never calls `marshal.loads` on what a candidate sent: marshal is documented as unsafe for hostile input.
`decode` is a strict parser of the subset above. Candidates are sent trusted bytes, so their side uses marshal itself.
"""

from __future__ import annotations

import collections
import itertools
import marshal
import re
import struct
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_DEPTH = 200
"""Containers nested deeper than this do not cross; marshal's own limit is 2000, and benchmarks stay below 20."""

MAX_ITERATOR_LENGTH = 100_000
"""A lazy value crosses as the list of what it yields, so an endless one must end somewhere."""

_PLAIN = b"p"
_RICH = b"r"
_VERSION = 2
_SCALARS = frozenset({int, str, bool, float, type(None), bytes, complex})
_SEQUENCES = frozenset({list, tuple, set, frozenset})


class Unsupported(TypeError):
    """The value is not plain data, so it cannot cross; the message names its type."""


class Malformed(ValueError):
    """The payload is not one that `encode` writes."""


# ---------------------------------------------------------------------------------------------------------------------
# Encoding
# ---------------------------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """The payload for `value`.

    Raises:
        Unsupported: the value holds something that is not data, refers to itself or nests too deeply.
    """
    try:
        if is_plain(value):
            return _PLAIN + marshal.dumps(value, _VERSION)
        return _RICH + marshal.dumps(_tree(value, 0), _VERSION)
    except RecursionError:
        raise Unsupported("a value nested too deeply, or one that contains itself") from None
    except ValueError as error:  # marshal's own depth limit
        raise Unsupported(str(error)) from None


def encode_plain(values: Iterable[Any]) -> list[bytes]:
    """The payloads for values that are known to be plain, such as those that JSON gave: several times faster.

    Raises:
        Unsupported: a value nests too deeply.
    """
    dumps = marshal.dumps
    try:
        return [_PLAIN + dumps(value, _VERSION) for value in values]
    except ValueError as error:
        raise Unsupported(str(error)) from None


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether `value` is built of exact builtin types alone, so that marshal writes it unchanged."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind in _SEQUENCES:
        parts = value
    elif kind is dict:
        if not set(map(type, value)) <= _SCALARS and not all(is_plain(key, depth + 1) for key in value):
            return False
        parts = value.values()
    else:
        return False
    if depth > MAX_DEPTH:
        raise RecursionError
    return set(map(type, parts)) <= _SCALARS or all(is_plain(part, depth + 1) for part in parts)


def _tree(value: Any, depth: int) -> tuple[Any, ...]:
    """`value` as a tree of tagged tuples of plain data."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if is_plain(value, depth):
        return ("plain", value)
    kind = type(value)
    if kind in _SEQUENCES:
        return (kind.__name__, [_tree(part, depth + 1) for part in value])
    if kind is dict:
        return ("dict", _pairs(value, depth))
    writer = _writers().get(kind) or _numpy_writer(kind)
    if writer is not None:
        return writer(value, depth)
    return _unwrapped(value, depth)


def _pairs(value: Any, depth: int) -> list[tuple[Any, ...]]:
    return [(_tree(key, depth + 1), _tree(item, depth + 1)) for key, item in dict.items(value)]


def _unwrapped(value: Any, depth: int) -> tuple[Any, ...]:
    """A subclass instance as the builtin value inside it, read by the builtin's own methods.

    So a namedtuple still equals its tuple, and an `int` that overrides `__eq__` is only the number it holds.
    """
    kind = type(value)  # not `isinstance`, which believes a `__class__` that lies
    if issubclass(kind, int):
        return ("plain", int.__pos__(value))
    if issubclass(kind, float):
        return ("plain", float.__pos__(value))
    if issubclass(kind, str):
        return ("plain", str.__str__(value))
    if issubclass(kind, bytes):
        return ("plain", bytes.__getitem__(value, slice(None)))
    if issubclass(kind, tuple):
        return ("tuple", [_tree(part, depth + 1) for part in tuple.__iter__(value)])
    if issubclass(kind, list):
        return ("list", [_tree(part, depth + 1) for part in list.__iter__(value)])
    if issubclass(kind, frozenset):
        return ("frozenset", [_tree(part, depth + 1) for part in frozenset.__iter__(value)])
    if issubclass(kind, set):
        return ("set", [_tree(part, depth + 1) for part in set.__iter__(value)])
    if issubclass(kind, dict):
        return ("dict", _pairs(value, depth))
    raise Unsupported(f"a value of type {kind.__name__}")


_Writer = Callable[[Any, int], tuple[Any, ...]]


def _writers() -> dict[type, _Writer]:
    """How to write each further type; by exact type, so that a subclass is unwrapped instead."""
    if not _WRITERS:
        _WRITERS.update(_builtin_writers())
        _WRITERS.update(_library_writers())
    return _WRITERS


_WRITERS: dict[type, _Writer] = {}


def _builtin_writers() -> dict[type, _Writer]:
    def listed(tag: str) -> _Writer:
        return lambda value, depth: (tag, [_tree(part, depth + 1) for part in value])

    samples: list[Any] = [[], (), {}, "", range(0), set(), {}.values(), {}.items()]
    lazy: list[type] = [
        map,
        filter,
        zip,
        enumerate,
        reversed,
        types.GeneratorType,
        type(reversed([])),
        type(reversed({})),
    ]
    lazy += [type(iter(sample)) for sample in samples]
    return {
        bytearray: lambda value, depth: ("bytearray", bytes(value)),
        range: _write_range,
        type({}.keys()): listed("dict_keys"),
        type({}.values()): listed("dict_values"),
        type({}.items()): listed("dict_items"),
        type(NotImplemented): lambda value, depth: ("constant", "NotImplemented"),
        type(...): lambda value, depth: ("constant", "Ellipsis"),
        type: _write_type,
        **dict.fromkeys(lazy, _write_iterator),
    }


def _library_writers() -> dict[type, _Writer]:
    from datetime import date, datetime, time, timedelta
    from decimal import Decimal
    from fractions import Fraction

    return {
        collections.OrderedDict: lambda value, depth: ("OrderedDict", _pairs(value, depth)),
        collections.Counter: lambda value, depth: ("Counter", _pairs(value, depth)),
        collections.defaultdict: lambda value, depth: ("defaultdict", _pairs(value, depth)),
        collections.deque: lambda value, depth: ("deque", [_tree(part, depth + 1) for part in value], value.maxlen),
        Decimal: lambda value, depth: ("Decimal", str(value)),
        Fraction: lambda value, depth: ("Fraction", value.numerator, value.denominator),
        timedelta: lambda value, depth: ("timedelta", value.days, value.seconds, value.microseconds),
        date: lambda value, depth: ("date", value.isoformat()),
        datetime: lambda value, depth: ("datetime", value.isoformat()),
        time: lambda value, depth: ("time", value.isoformat()),
    }


def _write_iterator(value: Any, depth: int) -> tuple[Any, ...]:
    parts = list(itertools.islice(value, MAX_ITERATOR_LENGTH + 1))
    if len(parts) > MAX_ITERATOR_LENGTH:
        raise Unsupported(f"an iterator of more than {MAX_ITERATOR_LENGTH} values")
    return ("iterator", [_tree(part, depth + 1) for part in parts])


def _write_range(value: range, depth: int) -> tuple[Any, ...]:
    _check_range(value, Unsupported)
    return ("range", value.start, value.stop, value.step)


def _check_range(value: range, refusal: type[Exception]) -> None:
    """A few bytes must not become all of memory when the tests make a list of them."""
    if len(value[: MAX_ITERATOR_LENGTH + 1]) > MAX_ITERATOR_LENGTH:
        raise refusal(f"a range of more than {MAX_ITERATOR_LENGTH} values")


def _write_type(value: type, depth: int) -> tuple[Any, ...]:
    if value in _TYPES.values():
        return ("type", value.__name__)
    raise Unsupported(f"the class {value.__name__}")


_TYPES = {
    kind.__name__: kind
    for kind in (int, str, bool, float, bytes, complex, list, tuple, set, frozenset, dict, type(None), range, object)
}


def _numpy_writer(kind: type) -> _Writer | None:
    """A writer for numpy's numbers and numeric arrays, where `kind` is one of them."""
    if kind.__module__ != "numpy":
        return None
    import numpy

    def write(value: Any, depth: int) -> tuple[Any, ...]:
        array = numpy.asarray(value)
        if array.dtype.kind not in "biufcUS":
            raise Unsupported(f"a numpy value of dtype {array.dtype}")
        tag = "ndarray" if kind is numpy.ndarray else "numpy_scalar"
        return (tag, array.dtype.str, list(array.shape), array.tobytes())

    return write if kind is numpy.ndarray or issubclass(kind, numpy.generic) else None


# ---------------------------------------------------------------------------------------------------------------------
# Decoding
# ---------------------------------------------------------------------------------------------------------------------


def decode(payload: bytes) -> Any:
    """The value of a payload from an untrusted sender.

    Raises:
        Malformed: the payload is not exactly one value of the white list.
    """
    try:
        value = _parse(payload)
        if payload[:1] == _PLAIN:
            return value
        return _build(value)
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise Malformed(f"a broken value: {error}") from None
    except (TypeError, ValueError, KeyError, ArithmeticError, ImportError) as error:
        raise Malformed(f"a value that is not data: {error}") from None
    except RecursionError:
        raise Malformed("a value nested too deeply") from None


def decode_trusted(payload: bytes) -> Any:
    """The value of a payload that this project's own side wrote; several times faster than `decode`."""
    value = marshal.loads(payload[1:])
    return value if payload[:1] == _PLAIN else _build(value)


def _parse(payload: bytes) -> Any:
    if payload[:1] not in (_PLAIN, _RICH):
        raise Malformed("an unknown kind of value")
    reader = _Reader(payload)
    value = reader.value(0)
    if reader.at != len(payload):
        raise Malformed("bytes after the value")
    return value


class _Reader:
    """A cursor over one body in marshal format 2."""

    __slots__ = ("at", "data")

    def __init__(self, payload: bytes) -> None:
        self.data = payload
        self.at = 1

    def value(self, depth: int) -> Any:
        if depth > 3 * MAX_DEPTH + 10:
            raise RecursionError
        code = self.data[self.at]
        self.at += 1
        if code == 0x69:  # 'i'
            (number,) = _INT32.unpack_from(self.data, self.at)
            self.at += 4
            return number
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code == 0x75:  # 'u'
            return str(self.take(self.size()), "utf-8", "surrogatepass")
        if code == 0x67:  # 'g'
            (number,) = _FLOAT64.unpack_from(self.data, self.at)
            self.at += 8
            return number
        if code in _CONTAINERS:
            build = _CONTAINERS[code]
            # Every element takes a byte or more, so a count beyond what is left is a lie, not a reason to allocate.
            count = self.size()
            if count > len(self.data) - self.at:
                raise Malformed("a container longer than its payload")
            parts = [self.value(depth + 1) for _ in range(count)]
            if code in _HASHED:
                _check_hashes(parts)
            return build(parts)
        if code == 0x7B:  # '{'
            pairs = list(self.items(depth))
            _check_hashes([key for key, _ in pairs])
            return dict(pairs)
        return self.rarer(code)

    def items(self, depth: int) -> Iterator[tuple[Any, Any]]:
        while self.data[self.at] != 0x30:  # '0' ends a dict
            yield self.value(depth + 1), self.value(depth + 1)
        self.at += 1

    def rarer(self, code: int) -> Any:
        if code == 0x6C:  # 'l'
            return self.long()
        if code == 0x73:  # 's'
            return bytes(self.take(self.size()))
        if code == 0x79:  # 'y'
            real, imaginary = struct.unpack_from("<dd", self.data, self.at)
            self.at += 16
            return complex(real, imaginary)
        raise Malformed(f"a value of marshal code {code:#x}")

    def long(self) -> int:
        (digits,) = _INT32.unpack_from(self.data, self.at)
        self.at += 4
        words = struct.unpack(f"<{abs(digits)}H", self.take(2 * abs(digits)))
        if any(word >> 15 for word in words):
            raise Malformed("a number with a digit out of range")
        # 15-bit digits; through base 2 text because that conversion is linear in the length.
        number = int("".join(f"{word:015b}" for word in reversed(words)) or "0", 2)
        return -number if digits < 0 else number

    def size(self) -> int:
        (count,) = _INT32.unpack_from(self.data, self.at)
        self.at += 4
        if count < 0:
            raise Malformed("a negative length")
        return int(count)

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise Malformed("a value cut short")
        self.at += count
        return piece


_INT32 = struct.Struct("<i")
_FLOAT64 = struct.Struct("<d")
_CONSTANTS: dict[int, Any] = {0x4E: None, 0x54: True, 0x46: False}
_HASHED = frozenset({0x3C, 0x3E})
_CONTAINERS: dict[int, Callable[[list[Any]], Any]] = {0x28: tuple, 0x5B: list, 0x3C: set, 0x3E: frozenset}


def _check_hashes(values: list[Any]) -> None:
    """Refuses values made to collide: a set of n of them takes n * n steps, in C, where no deadline reaches."""
    if len(values) > 1000 and len(set(map(hash, values))) < len(values) // 2:
        raise Malformed("a set or dict of values made to collide")


def _build(tree: Any) -> Any:
    """The value of a rich tree; every tag is checked, so a forged tree is only a malformed one."""
    if type(tree) is not tuple or not tree or type(tree[0]) is not str:
        raise Malformed("a rich value without a tag")
    builder = _BUILDERS.get(tree[0])
    if builder is None:
        raise Malformed(f"an unknown tag {tree[0]!r}")
    return builder(*tree[1:])


def _parts(trees: Any) -> list[Any]:
    if type(trees) is not list:
        raise Malformed("a rich container without parts")
    return [_build(tree) for tree in trees]


def _dict(pairs: Any) -> dict[Any, Any]:
    if type(pairs) is not list:
        raise Malformed("a rich mapping without pairs")
    return {_build(key): _build(item) for key, item in pairs}


def _only(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise Malformed(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def _build_library(module: str, name: str, *arguments: Any) -> Any:
    import importlib

    return getattr(importlib.import_module(module), name)(*arguments)


def _build_iso(name: str, text: Any) -> Any:
    import datetime

    return getattr(datetime, name).fromisoformat(_only(str, text))


def _build_range(*ends: Any) -> range:
    value = range(*(_only(int, end) for end in ends))
    _check_range(value, Malformed)
    return value


def _build_ndarray(dtype: Any, shape: Any, data: Any) -> Any:
    import numpy

    # Before numpy sees it: what numpy makes of other texts is a language of its own.
    if not re.fullmatch("[<>|=][biufcUS][0-9]{1,9}", _only(str, dtype)):
        raise Malformed(f"a numpy array of dtype {dtype!r}")
    lengths = [_only(int, length) for length in _only(list, shape)]
    array = numpy.frombuffer(_only(bytes, data), dtype=dtype).reshape(lengths).copy()
    if array.dtype.kind == "U" and array.size and array.view(array.dtype.str[0] + "u4").max() > sys.maxunicode:
        raise Malformed("a numpy text of what are no characters")
    return array


def _build_counter(pairs: Any) -> Any:
    counter: collections.Counter[Any] = collections.Counter()
    dict.update(counter, _dict(pairs))
    return counter


def _build_defaultdict(pairs: Any) -> Any:
    # The factory is code and stays behind: a missing key raises KeyError here.
    return collections.defaultdict(None, _dict(pairs))


_BUILDERS: dict[str, Callable[..., Any]] = {
    "plain": lambda value: value,
    "list": _parts,
    "tuple": lambda trees: tuple(_parts(trees)),
    "set": lambda trees: set(_parts(trees)),
    "frozenset": lambda trees: frozenset(_parts(trees)),
    "dict": _dict,
    "iterator": lambda trees: iter(_parts(trees)),
    "dict_keys": lambda trees: dict.fromkeys(_parts(trees)).keys(),
    "dict_values": lambda trees: dict(enumerate(_parts(trees))).values(),
    "dict_items": lambda trees: dict(_parts(trees)).items(),
    "bytearray": lambda data: bytearray(_only(bytes, data)),
    "range": _build_range,
    "constant": lambda name: {"NotImplemented": NotImplemented, "Ellipsis": ...}[name],
    "type": lambda name: _TYPES[name],
    "OrderedDict": lambda pairs: collections.OrderedDict(_dict(pairs)),
    "Counter": _build_counter,
    "defaultdict": _build_defaultdict,
    "deque": lambda trees, maxlen: collections.deque(_parts(trees), maxlen),
    "Decimal": lambda text: _build_library("decimal", "Decimal", _only(str, text)),
    "Fraction": lambda *ends: _build_library("fractions", "Fraction", *(_only(int, end) for end in ends)),
    "timedelta": lambda *parts: _build_library("datetime", "timedelta", *(_only(int, part) for part in parts)),
    "date": lambda text: _build_iso("date", text),
    "datetime": lambda text: _build_iso("datetime", text),
    "time": lambda text: _build_iso("time", text),
    "ndarray": _build_ndarray,
    "numpy_scalar": lambda dtype, shape, data: _build_ndarray(dtype, shape, data)[()],
}
