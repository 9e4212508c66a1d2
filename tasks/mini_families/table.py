"""The families, in the order of their problems."""

from __future__ import annotations

from tasks.mini_families import lists, numbers, programs, texts
from tasks.mini_families.recipe import Family
from tasks.problem import Call, Script, Stdio

FAMILIES = (
    Family(name="arithmetic", kind=Script, draw=numbers.arithmetic),
    Family(name="choices", kind=Script, draw=numbers.choices),
    Family(name="countdown", kind=Script, draw=numbers.countdown),
    Family(name="ranges", kind=Script, draw=numbers.ranges),
    Family(name="search", kind=Script, draw=lists.search),
    Family(name="loops", kind=Script, draw=lists.loops),
    Family(name="totals", kind=Call, draw=lists.totals),
    Family(name="reorder", kind=Call, draw=lists.reorder),
    Family(name="pairs", kind=Call, draw=lists.pairs),
    Family(name="neighbours", kind=Call, draw=lists.neighbours),
    Family(name="grids", kind=Call, draw=lists.grids),
    Family(name="strings", kind=Call, draw=texts.strings),
    Family(name="letters", kind=Call, draw=texts.letters),
    Family(name="words", kind=Call, draw=texts.words),
    Family(name="parsing", kind=Call, draw=texts.parsing),
    Family(name="tables", kind=Call, draw=texts.tables),
    Family(name="groups", kind=Call, draw=texts.groups),
    Family(name="sums", kind=Stdio, draw=programs.sums),
    Family(name="lines", kind=Stdio, draw=programs.lines),
    Family(name="patterns", kind=Stdio, draw=programs.patterns),
    Family(name="queries", kind=Stdio, draw=programs.queries),
)
