# tries: to replace the function that writes its answers
# verdict: runtime_error
import marshal
import sys

module = sys.modules["__main__"]
if hasattr(module, "codec"):
    module.codec.encode = lambda value: b"p" + marshal.dumps(StopIteration)


def add(a, b):
    return 99
