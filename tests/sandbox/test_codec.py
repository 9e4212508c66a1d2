"""Plain data crosses and comes back the same; nothing else crosses, whatever bytes are sent."""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import itertools
import marshal
import math
import re
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import codec

unhurried = settings(deadline=None)
"""No test here is about time, and the machine may be busy."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.binary(max_size=60).map(lambda digits: int.from_bytes(digits, "little", signed=True)),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=8),
    st.binary(max_size=8),
)
hashable = st.deferred(lambda: scalars | scalars | st.tuples(hashable, hashable) | st.frozensets(hashable, max_size=3))
plain = st.deferred(
    lambda: st.one_of(
        scalars,
        scalars,
        st.lists(plain, max_size=3),
        st.lists(plain, max_size=3).map(tuple),
        st.sets(hashable, max_size=3),
        st.frozensets(hashable, max_size=3),
        st.dictionaries(hashable, plain, max_size=3),
    )
)
comparable = st.integers() | st.text(max_size=8) | st.binary(max_size=8) | st.lists(st.integers(), max_size=3)
keys = st.integers() | st.text(max_size=8) | st.dates()
rich = st.one_of(
    st.builds(bytearray, st.binary()),
    st.builds(range, st.integers(-100, 100), st.integers(-100, 100), st.integers(1, 5)),
    st.sampled_from([NotImplemented, ..., int, str, bool, float, list, dict, type(None), object]),
    st.builds(collections.OrderedDict, st.dictionaries(keys, comparable, max_size=3)),
    st.builds(collections.Counter, st.dictionaries(keys, st.integers(), max_size=3)),
    st.builds(collections.deque, st.lists(comparable, max_size=3), st.none() | st.integers(0, 5)),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.timedeltas(),
    st.dates(),
    st.datetimes(),
    st.times(),
)
nested_rich = st.deferred(
    lambda: st.one_of(
        rich,
        rich,
        st.lists(nested_rich, max_size=3),
        st.lists(nested_rich, max_size=3).map(tuple),
        st.dictionaries(keys, nested_rich, max_size=3),
    )
)

TAGS = [
    *("plain", "list", "tuple", "set", "frozenset", "dict", "iterator", "dict_keys", "dict_values", "dict_items"),
    *("bytearray", "range", "constant", "type", "OrderedDict", "Counter", "defaultdict", "deque", "Decimal"),
    *("Fraction", "timedelta", "date", "datetime", "time", "ndarray", "numpy_scalar", "no such tag"),
]
forged_trees = st.deferred(
    lambda: st.builds(
        lambda tag, parts: (tag, *parts),
        st.sampled_from(TAGS),
        st.lists(
            st.one_of(
                plain,
                forged_trees,
                st.lists(forged_trees, max_size=3),
                st.lists(st.tuples(forged_trees, forged_trees), max_size=2),
            ),
            max_size=3,
        ),
    )
)
forged_arrays = st.tuples(
    st.sampled_from(["ndarray", "numpy_scalar"]),
    st.text("<>|=biufcUSOVMmtea,():{}[]'0123456789", max_size=8) | st.sampled_from(["<U1", "<f8", "|b1", "|S3", "<i2"]),
    st.lists(st.integers(-2, 2**65), max_size=3),
    st.binary(max_size=32),
)


def canonical(value: Any) -> Any:
    """`value` so that equal means alike to the last bit: -0.0 is not 0, True is not 1, and any nan is a nan."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, complex):
        return kind, canonical(value.real), canonical(value.imag)
    if isinstance(value, (list, tuple)):
        return kind, [canonical(part) for part in value]
    if isinstance(value, dict):
        return kind, [(canonical(key), canonical(item)) for key, item in value.items()]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(canonical(part)) for part in value)
    return kind, value


def same(left: Any, right: Any) -> bool:
    return bool(canonical(left) == canonical(right))


def rich_payload(tree: Any) -> bytes:
    return b"r" + marshal.dumps(tree, 2)


def decoded_or_malformed(payload: bytes) -> None:
    """Any other exception than Malformed fails the test."""
    with contextlib.suppress(codec.Malformed):
        codec.decode(payload)


@unhurried
@given(plain)
def test_plain_data_comes_back_the_same(value: Any) -> None:
    assert same(codec.decode(codec.encode(value)), value)


@unhurried
@given(plain)
def test_what_is_known_to_be_plain_is_written_as_it_is_otherwise(value: Any) -> None:
    assert codec.encode_plain([value]) == [codec.encode(value)]


def test_what_is_known_to_be_plain_and_nests_too_deeply_is_unsupported() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(codec.Unsupported):
        codec.encode_plain([1, value])


@unhurried
@given(nested_rich)
def test_rich_data_comes_back_the_same(value: Any) -> None:
    assert same(codec.decode(codec.encode(value)), value)


@unhurried
@given(plain | nested_rich)
def test_the_strict_reader_and_the_fast_one_agree(value: Any) -> None:
    payload = codec.encode(value)

    assert same(codec.decode(payload), codec.decode_trusted(payload))


@unhurried
@given(plain | nested_rich)
def test_a_value_that_came_back_is_written_as_the_same_value_again(value: Any) -> None:
    once = codec.decode(codec.encode(value))

    assert same(codec.decode(codec.encode(once)), once)


@pytest.mark.parametrize(
    "value",
    [
        *(
            -0.0,
            math.inf,
            -math.inf,
            math.nan,
            5e-324,
            2**31,
            -(2**31) - 1,
            10**5000,
            -(10**5000),
            "\ud800",
            "\udfff\ud800",
        ),
        *("\0", "", b"", (), [], {}, set(), frozenset(), complex(-0.0, math.nan), True, {"": None}, {(): {0: ()}}),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else "number",
)
def test_edges_of_the_plain_types_come_back_the_same(value: Any) -> None:
    assert same(codec.decode(codec.encode(value)), value)


def test_views_of_a_dict_come_back_as_views_with_the_same_content() -> None:
    source = {1: "a", 2: range(3)}

    assert codec.decode(codec.encode(source.keys())) == source.keys()
    assert list(codec.decode(codec.encode(source.values()))) == list(source.values())
    assert codec.decode(codec.encode({1: "a"}.items())) == {1: "a"}.items()


@pytest.mark.parametrize(
    "make",
    [
        lambda: (number for number in [1, 2]),
        lambda: map(int, "12"),
        lambda: filter(None, [1, 2]),
        lambda: reversed([2, 1]),
        lambda: iter([1, 2]),
        lambda: iter((1, 2)),
        lambda: iter({1: 0, 2: 0}),
        lambda: iter(range(1, 3)),
        lambda: reversed({2: 0, 1: 0}),
    ],
)
def test_a_lazy_value_crosses_as_what_it_yields(make: Any) -> None:
    value = codec.decode(codec.encode(make()))

    assert iter(value) is value
    assert list(value) == [1, 2]


def test_a_missing_key_of_a_defaultdict_stays_missing_because_its_factory_is_code() -> None:
    value = codec.decode(codec.encode(collections.defaultdict(list, {1: [2]})))

    assert type(value) is collections.defaultdict
    assert value == {1: [2]}
    with pytest.raises(KeyError):
        value[2]


class AlwaysEqual:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Int(AlwaysEqual, int):
    def __pos__(self) -> int:
        return 99

    __int__ = __index__ = __pos__


class Float(AlwaysEqual, float):
    def __pos__(self) -> float:
        return 99.0

    __float__ = __pos__


class Str(AlwaysEqual, str):
    def __str__(self) -> str:
        return "lie"

    __repr__ = __str__


class Bytes(AlwaysEqual, bytes):
    def __getitem__(self, key: Any) -> Any:
        return b"lie"


class List(AlwaysEqual, list):  # type: ignore[type-arg]  # the parts do not matter
    def __iter__(self) -> Any:
        return iter("lie")


class Tuple(AlwaysEqual, tuple):  # type: ignore[type-arg]  # the parts do not matter
    def __iter__(self) -> Any:
        return iter("lie")


class Dict(AlwaysEqual, dict):  # type: ignore[type-arg]  # the parts do not matter
    def items(self) -> Any:
        return {"lie": 1}.items()

    __iter__ = keys = values = items


class Set(AlwaysEqual, set):  # type: ignore[type-arg]  # the parts do not matter
    def __iter__(self) -> Any:
        return iter("lie")


class Colour(enum.IntEnum):
    RED = 3


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "builtin"),
    [
        (Int(3), 3),
        (Float(3.5), 3.5),
        (Str("abc"), "abc"),
        (Bytes(b"abc"), b"abc"),
        (List([1, 2]), [1, 2]),
        (Tuple((1, 2)), (1, 2)),
        (Dict({1: 2}), {1: 2}),
        (Set({1}), {1}),
        (Colour.RED, 3),
        (Point(1, 2), (1, 2)),
        (List([Int(1), {Str("a"): Float(2.0)}]), [1, {"a": 2.0}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_instance_of_a_subclass_crosses_as_the_builtin_value_inside_it(value: Any, builtin: Any) -> None:
    assert same(codec.decode(codec.encode(value)), builtin)


class Named:
    """A class of the program."""


class Pretender:
    __class__ = int  # type: ignore[assignment]  # a lie, as some programs tell it


@pytest.mark.parametrize(
    "value",
    [
        *(
            AlwaysEqual(),
            Named,
            Named(),
            Pretender(),
            len,
            lambda: None,
            math,
            object(),
            print,
            [Named()],
            {1: Named()},
        ),
        *({Named()}, (Named(),), ValueError("x"), same.__code__, iter([Named()]), memoryview(b""), property(), type),
        *(itertools.count(), (number for number in itertools.count()), range(10**9), StopIteration, re.compile("")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_data_is_unsupported(value: Any) -> None:
    with pytest.raises(codec.Unsupported):
        codec.encode(value)


def test_a_value_that_contains_itself_is_unsupported() -> None:
    knot: list[Any] = []
    knot.append(knot)
    loop: dict[str, Any] = {}
    loop["self"] = [loop, range(3)]

    for value in (knot, loop):
        with pytest.raises(codec.Unsupported):
            codec.encode(value)


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: (value,), lambda value: {0: value}])
@pytest.mark.parametrize("core", [0, range(3)], ids=["plain", "rich"])
def test_depth_is_bounded_on_the_way_out_and_on_the_way_in(wrap: Any, core: Any) -> None:
    shallow = deep = core
    for _ in range(50):
        shallow = wrap(shallow)
    for _ in range(5000):
        deep = wrap(deep)

    assert same(codec.decode(codec.encode(shallow)), shallow)
    with pytest.raises(codec.Unsupported):
        codec.encode(deep)


@pytest.mark.parametrize("code", [b"(\1\0\0\0", b"[\1\0\0\0", b"<\1\0\0\0", b">\1\0\0\0", b"{", b"{N"])
def test_endless_nesting_on_the_wire_is_malformed(code: bytes) -> None:
    for kind in (b"p", b"r"):
        with pytest.raises(codec.Malformed):
            codec.decode(kind + code * 100_000)


@unhurried
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes) -> None:
    decoded_or_malformed(data)
    decoded_or_malformed(b"p" + data)
    decoded_or_malformed(b"r" + data)


@unhurried
@given(plain | nested_rich, st.data())
def test_a_damaged_payload_is_a_value_or_malformed(value: Any, data: st.DataObject) -> None:
    payload = bytearray(codec.encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload) - 1)) if payload else 0
        payload[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))

    decoded_or_malformed(bytes(payload))


@settings(unhurried, max_examples=500)
@given(forged_trees | forged_arrays)
def test_a_forged_tree_is_a_value_or_malformed(tree: Any) -> None:
    decoded_or_malformed(rich_payload(tree))


@unhurried
@given(plain)
def test_a_payload_cut_short_or_continued_is_malformed(value: Any) -> None:
    payload = codec.encode(value)

    for damaged in (payload[:-1], payload + b"N"):
        with pytest.raises(codec.Malformed):
            codec.decode(damaged)


@pytest.mark.parametrize(
    "payload",
    [
        marshal.dumps(same.__code__),
        marshal.dumps(StopIteration),
        marshal.dumps(...),
        marshal.dumps([(1, 2)] * 3),  # version 4, with references
        marshal.dumps("abc"),  # interned, short
        marshal.dumps(b"x", 2)[:1] + b"\xff\xff\xff\xff",
        b"r\0\0\0\0",
        b"R\0\0\0\0",
        b"t\1\0\0\0a",
        b"l\1\0\0\0\xff\xff",
        b"0",
        b"?",
        b"",
    ],
    ids=lambda payload: repr(payload[:6]),
)
def test_marshal_knows_more_than_may_cross(payload: bytes) -> None:
    for kind in (b"p", b"r"):
        with pytest.raises(codec.Malformed):
            codec.decode(kind + payload)


@pytest.mark.parametrize(
    "tree",
    [
        ("constant", "no such constant"),
        ("type", "Named"),
        ("range", 0, 10**18),
        ("Fraction", 1, 0),
        ("Decimal", "no number"),
        ("date", "\ud800"),
        ("deque", [], -1),
        ("timedelta", 10**30),
        ("ndarray", "(2,i4", [1], b"1"),
        ("ndarray", "O", [1], b"12345678"),
        ("ndarray", "<U1", [1], b"\xff\xff\xff\xff"),
        ("ndarray", "<f8", [2**62, 2**62], b""),
        ("set", [("list", [])]),
        ("dict", [(("set", []), ("plain", 1))]),
        ("plain",),
        ("plain", 1, 2),
        ("list", ("plain", 1)),
        ("list", [("plain", 1), 2]),
        (1, 2),
        (),
        7,
    ],
    ids=str,
)
def test_a_tree_that_no_value_has_is_malformed(tree: Any) -> None:
    with pytest.raises(codec.Malformed):
        codec.decode(rich_payload(tree))


@pytest.mark.parametrize("code", [b"(", b"[", b"<", b">", b"s", b"u", b"l"])
def test_a_length_that_is_claimed_is_not_allocated(code: bytes) -> None:
    payload = b"p" + code + struct.pack("<i", 2**31 - 1)
    tracemalloc.start()
    try:
        with pytest.raises(codec.Malformed):
            codec.decode(payload)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 1 << 16


def test_few_bytes_do_not_become_a_long_value() -> None:
    longest = range(codec.MAX_ITERATOR_LENGTH)

    assert codec.decode(codec.encode(longest)) == longest
    for value in (range(codec.MAX_ITERATOR_LENGTH + 1), range(0, -(10**30), -1)):
        with pytest.raises(codec.Unsupported):
            codec.encode(value)
        with pytest.raises(codec.Malformed):
            codec.decode(rich_payload(("range", value.start, value.stop, value.step)))


def test_writing_an_endless_iterator_stops() -> None:
    drawn = itertools.count()

    with pytest.raises(codec.Unsupported):
        codec.encode(number for number in drawn)

    assert next(drawn) <= codec.MAX_ITERATOR_LENGTH + 2


def test_numbers_and_arrays_of_numpy_come_back_the_same() -> None:
    numpy = pytest.importorskip("numpy")
    values = [numpy.array(numbers) for numbers in ([], [1, 2], [[1.5, math.nan]], ["a", "bc"], [True], [1j], [b"x"], 3)]
    values += [numpy.float64(-0.0), numpy.int8(-3), numpy.bool_(True), numpy.str_("a"), numpy.zeros((0, 3))]

    for value in values:
        back = codec.decode(codec.encode(value))
        assert type(back) is type(value)
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert numpy.array_equal(back, value, equal_nan=value.dtype.kind in "fc")


def test_an_array_of_objects_is_unsupported() -> None:
    numpy = pytest.importorskip("numpy")

    for value in (numpy.array([AlwaysEqual()]), numpy.datetime64("2020"), numpy.zeros(1, dtype=[("a", "i4")])):
        with pytest.raises(codec.Unsupported):
            codec.encode(value)


def test_exact_numbers_and_times_keep_their_classes() -> None:
    values = [decimal.Decimal("NaN"), decimal.Decimal("1.10"), fractions.Fraction(1, 3), datetime.time(1, 2, 3, 4)]
    values += [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)]

    for value in values:
        back = codec.decode(codec.encode(value))
        assert type(back) is type(value)
        assert str(back) == str(value)
