"""Published figures as data, and what a run or the figures alone can say about them."""

from harness.published.check import Check, Verdict, check_figure
from harness.published.claim import CLAIMS, Contrast, contrast
from harness.published.entries import Certainty, Decoding, Entry, Metric, find, load_entries, select
from harness.published.measurement import Measurement, read_measurements
from harness.published.protocol import Field, State, compare_protocols

__all__ = [
    "CLAIMS",
    "Certainty",
    "Check",
    "Contrast",
    "Decoding",
    "Entry",
    "Field",
    "Measurement",
    "Metric",
    "State",
    "Verdict",
    "check_figure",
    "compare_protocols",
    "contrast",
    "find",
    "load_entries",
    "read_measurements",
    "select",
]
