"""Families of functions of strings, and of dictionaries."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tasks.mini_families.arguments import entries, joined_numbers, name_tables, sentences, texts
from tasks.mini_families.chance import below, between, pick
from tasks.mini_families.phrase import (
    LETTERS,
    NOTHING,
    NUM_STEPS,
    Phrase,
    change,
    character_condition,
    characters_of,
    condition,
    constants_of,
    sentence,
    then,
    two_conditions,
    two_unlike,
    two_word_conditions,
    unlike,
    with_number,
    with_text,
    word_condition,
)
from tasks.mini_families.pipeline import Source, of_characters, of_numbers, of_words
from tasks.mini_families.recipe import Recipe

# strings: Take s, make it upper case, remove all 'A', keep the first 3 characters and return the result.

REWRITINGS = (
    Phrase(words="make it upper case", code="s.upper()"),
    Phrase(words="make it lower case", code="s.lower()"),
    Phrase(words="swap upper and lower case", code="s.swapcase()", characters="aB"),
    Phrase(words="reverse it", code="s[::-1]", same_as="reverse the order"),
    Phrase(words="remove spaces at both ends", code="s.strip()", characters=" "),
    Phrase(words="write it twice", code="s * 2", same_as="multiply by 2"),
    Phrase(words="sort its characters", code="''.join(sorted(s))"),
    Phrase(words="write each character twice", code="''.join(c * 2 for c in s)"),
    Phrase(words="drop repetitions of earlier characters", code="''.join(dict.fromkeys(s))"),
    Phrase(
        words="keep every second character starting with the first",
        code="s[::2]",
        same_as="keep every second number starting with the first",
    ),
)
NUMBERED_REWRITINGS = (
    ("keep the first # characters", "s[:#]"),
    ("keep the last # characters", "s[-#:]"),
    ("drop the first # characters", "s[#:]"),
    ("drop the last # characters", "s[:-#]"),
)
LETTERED_REWRITINGS = (
    ("remove every #", "s.replace(#, '')"),
    ("append #", "s + #"),
    ("put # in front", "# + s"),
)


def strings(rng: Random, level: int) -> Recipe:
    """One to six steps from string to string."""
    steps = unlike(rng, _rewriting, NUM_STEPS[level - 1])
    return Recipe(
        composition=tuple(step.meaning for step in steps),
        signature="rewrite(s)",
        statement=sentence(["take s", *(step.words for step in steps)], "return the result"),
        reference=_steps(steps),
        shortcuts=tuple(_steps(steps[:place] + steps[place + 1 :]) for place in range(len(steps))),
        arguments=texts(characters_of(steps)),
    )


def _rewriting(rng: Random) -> Phrase:
    way = below(rng, 22)
    if way < len(REWRITINGS):
        return REWRITINGS[way]
    if way < 14:
        phrase = with_number(*NUMBERED_REWRITINGS[way - 10], between(rng, 2, 6))
        # Lists are cut alike, in words without `characters`.
        return replace(phrase, same_as=phrase.words.removesuffix(" characters"))
    if way < 18:
        return with_text(*LETTERED_REWRITINGS[way % 3], pick(rng, LETTERS))
    if way < 20:
        old, new = pick(rng, LETTERS), pick(rng, LETTERS + "-*")
        return Phrase(words=f"replace every {old!r} by {new!r}", code=f"s.replace({old!r}, {new!r})", characters=old)
    kept = character_condition(rng)
    return Phrase(
        words=f"keep the characters that are {kept.words}",
        code=f"''.join(c for c in s if {kept.of('c')})",
        characters=kept.characters,
    )


def _steps(steps: list[Phrase]) -> str:
    lines = [f"    s = {step.code}\n" for step in steps[:-1]]
    return "".join(lines) + f"    return {steps[-1].code if steps else 's'}\n"


# letters: Keep the characters of s that are vowels, make each upper case and return them joined to one string.

CHARACTERS = Source(words="the characters of s", loop="for c in s", variable="c", link="that are")


def letters(rng: Random, level: int) -> Recipe:
    """A pipeline over the characters of a string."""
    made = of_characters(rng, level)
    return Recipe(
        composition=made.composition,
        signature="pick(s)",
        statement=made.statement(CHARACTERS),
        reference=f"    return {made.expression(CHARACTERS)}\n",
        shortcuts=tuple(f"    return {other.expression(CHARACTERS)}\n" for other in made.shortcuts()),
        arguments=texts(made.characters),
    )


# words: Keep the words of s that start with 'a', reverse each and return them joined with '-'.

WORDS = Source(words="the words of s", loop="for w in s.split()", variable="w", link="that")


def words(rng: Random, level: int) -> Recipe:
    """A pipeline over the words of a string."""
    made = of_words(rng, level)
    return Recipe(
        composition=made.composition,
        signature="select(s)",
        statement=made.statement(WORDS),
        reference=f"    return {made.expression(WORDS)}\n",
        shortcuts=tuple(f"    return {other.expression(WORDS)}\n" for other in made.shortcuts()),
        arguments=sentences(made.characters, made.constants),
    )


# parsing: Keep the integers in s, separated by ';', that are even, double each and return their sum.


def parsing(rng: Random, level: int) -> Recipe:
    """A pipeline over the integers that a string holds."""
    if not below(rng, 3):
        words, loop = (
            "the numbers after '=' in s, such as 'a=3,b=4',",
            "for e in s.split(',') for x in [int(e.split('=')[1])]",
        )
        separator = ""
    else:
        separator = pick(rng, (",", ";", "|", "/", ":", " + "))
        words, loop = f"the integers in s, separated by {separator!r},", f"for x in map(int, s.split({separator!r}))"
    source = Source(words=words, loop=loop, variable="x", link="that are")
    made = of_numbers(rng, level)
    return Recipe(
        composition=made.composition,
        signature="parse(s)",
        statement=made.statement(source).replace(",,", ","),
        reference=f"    return {made.expression(source)}\n",
        shortcuts=tuple(f"    return {other.expression(source)}\n" for other in made.shortcuts()),
        arguments=joined_numbers(made.constants, separator) if separator else entries(made.constants),
    )


# tables: Keep the entries of d whose value is even, double each value and return the dictionary.

ENTRY_RESULTS = (
    Phrase(words="the dictionary", code="{k: {} for k, v in d.items()@}"),
    Phrase(words="the list of the values", code="[{} for v in d.values()@]"),
    Phrase(words="the sum of the values", code="sum({} for v in d.values()@)"),
)
KEY_RESULTS = (
    Phrase(words="the list of the keys", code="[k for k, v in d.items()@]"),
    Phrase(words="the keys in alphabetical order", code="sorted(k for k, v in d.items()@)"),
    Phrase(words="the keys joined to one string", code="''.join(k for k, v in d.items()@)"),
    Phrase(words="the first key in alphabetical order, or ''", code="min([k for k, v in d.items()@], default='')"),
)


def tables(rng: Random, level: int) -> Recipe:
    """Entries of a dictionary that are kept, changed and returned in some form."""
    kept = NOTHING if level == 1 else (condition, condition, two_conditions)[level - 2](rng)
    of_keys = level == 2
    changed = NOTHING if of_keys else then(*two_unlike(rng, change)) if level == 4 else change(rng)
    ending = pick(rng, KEY_RESULTS if of_keys else ENTRY_RESULTS)
    first = "take the entries of d" if kept is NOTHING else f"keep the entries of d whose value is {kept.words}"
    clauses = [first] if of_keys else [first, f"{changed.words.replace('each', 'each value')}"]
    forgotten = [(piece, changed) for piece in kept.pieces]
    forgotten += [(NOTHING, changed)] if kept is not NOTHING else []
    forgotten += [(kept, piece) for piece in changed.pieces]
    forgotten += [(kept, NOTHING)] if changed is not NOTHING else []
    return Recipe(
        composition=(kept.meaning, changed.meaning, ending.meaning),
        signature="filter_table(d)",
        statement=sentence(clauses, f"return {ending.words}"),
        reference=_entries(kept, changed, ending),
        shortcuts=tuple(_entries(*pieces, ending) for pieces in forgotten),
        arguments=name_tables(constants_of((kept, changed))),
    )


def _entries(kept: Phrase, changed: Phrase, ending: Phrase) -> str:
    test = "" if kept is NOTHING else f" if {kept.of('v')}"
    return f"    return {ending.code.replace('{}', changed.of('v')).replace('@', test)}\n"


# groups: Map the first letter of each word of s that is longer than 3 letters to the list of these words.

GROUP_KEYS = (
    Phrase(words="the first letter of each word of s", code="w[0]"),
    Phrase(words="the last letter of each word of s", code="w[-1]"),
    Phrase(words="each word of s", code="w"),
    Phrase(words="each word of s in lower case", code="w.lower()"),
    Phrase(words="each reversed word of s", code="w[::-1]"),
    Phrase(words="the first 2 letters of each word of s", code="w[:2]"),
)
GROUP_VALUES = (
    Phrase(words="how often it comes", code="d[k] = d.get(k, 0) + 1"),
    Phrase(words="the list of the words it comes from", code="d[k] = d.get(k, []) + [w]"),
    Phrase(words="the total length of the words it comes from", code="d[k] = d.get(k, 0) + len(w)"),
    Phrase(words="the last word it comes from", code="d[k] = w"),
    Phrase(words="the first word it comes from", code="d.setdefault(k, w)"),
    Phrase(words="the greatest length of the words it comes from", code="d[k] = max(d.get(k, 0), len(w))"),
)
GROUP_COUNTS = (GROUP_VALUES[0], GROUP_VALUES[2])
"""Those that start from 0, or from another number."""
GROUP_RESULTS = (
    Phrase(words="the list of its values", code="list({}.values())"),
    Phrase(words="the list of its values in reverse order", code="list({}.values())[::-1]"),
    Phrase(words="the list of its [key, value] pairs", code="[[k, v] for k, v in {}.items()]"),
)


def groups(rng: Random, level: int) -> Recipe:
    """A dictionary made from the words of a string."""
    key, value = pick(rng, GROUP_KEYS), pick(rng, GROUP_VALUES)
    counts = value in GROUP_COUNTS
    kept = NOTHING if level < 2 else word_condition(rng) if level == 2 or counts else two_word_conditions(rng)
    added = between(rng, 1, 10) if level > 2 and counts else 0
    ending = pick(rng, GROUP_RESULTS) if level == 4 else NOTHING
    start = f", counting from {added}" if added else ""
    that = f" that {_singular(kept.words)}" if kept is not NOTHING else ""
    finish = "return the dictionary" if ending is NOTHING else f"return {ending.words}"
    forgotten = [_group(key, value, piece, added, ending) for piece in kept.pieces]
    forgotten += [_group(key, value, NOTHING, added, ending)] if kept is not NOTHING else []
    forgotten += [_group(key, value, kept, 0, ending)] if added else []
    return Recipe(
        composition=(key.meaning, value.meaning, kept.meaning, str(added), ending.meaning),
        signature="group(s)",
        statement=f"Map {key.words}{that} to {value.words}{start}, and {finish}.",
        reference=_group(key, value, kept, added, ending),
        shortcuts=tuple(forgotten),
        arguments=sentences(kept.characters or "abr", kept.constants),
    )


SINGULAR = {"are": "is", "have": "has", "do": "does"}


def _singular(words: str) -> str:
    """A condition on words as one on a single word."""
    if words.startswith(("both ", "either ")):
        first, _, rest = words.partition(" ")
        link = " and " if first == "both" else " or "
        return f"{first} {link.join(_singular(part) for part in rest.split(link))}"
    verb, _, rest = words.partition(" ")
    return f"{SINGULAR.get(verb, verb + 's')} {rest}"


def _group(key: Phrase, value: Phrase, kept: Phrase, added: int, ending: Phrase) -> str:
    lines = ["    d = {}", "    for w in s.split():"]
    if kept is not NOTHING:
        lines += [f"        if {kept.of('w')}:"]
    indent = " " * (8 if kept is NOTHING else 12)
    code = value.code.replace(", 0)", f", {added})")
    lines += [indent + line for line in (f"k = {key.code}", code)]
    return "\n".join([*lines, f"    return {ending.of('d')}\n"])
