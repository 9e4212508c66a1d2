# tries: a regular expression that takes exponentially long
# verdict: timeout
import re


def add(a, b):
    return re.match(r"(a+)+$", "a" * 60 + "b")
