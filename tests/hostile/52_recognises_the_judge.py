# tries: to find out where it runs from what the judge leaves to be seen
# verdict: passed
import os
import sys

if set(os.environ) - {"PATH", "HOME", "LC_ALL", "PYTHONHASHSEED", "OPENBLAS_NUM_THREADS"}:
    raise RuntimeError(f"escaped: {dict(os.environ)}")
if any(sys.argv) or any(sys.orig_argv):
    raise RuntimeError(f"escaped: {sys.argv} {sys.orig_argv}")
for name in ("sandbox", "harness", "tasks", "pytest", "numpy"):
    if name in sys.modules:
        raise RuntimeError(f"escaped: {name} is imported")
    try:
        __import__(name)
    except ImportError:
        continue
    raise RuntimeError(f"escaped: {name} can be imported")


def add(a, b):
    return a + b
