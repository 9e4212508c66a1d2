# tries: to overflow the stack of the interpreter
# verdict: runtime_error, timeout, memory_limit
import sys

sys.setrecursionlimit(10**9)


class Deep:
    def __repr__(self):
        return repr(self)


def add(a, b):
    return repr(Deep())
