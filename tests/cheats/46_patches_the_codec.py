# tries: to replace the function that writes its answers
# verdict: runtime_error
import marshal
import sys

caller = sys._getframe(1).f_globals
caller["codec"].encode = lambda value: b"p" + marshal.dumps(StopIteration)


def add(a, b):
    return 99
