# tries: to leave with exit code 0 before any test
# verdict: runtime_error
import sys


def add(a, b):
    return 0


sys.exit(0)
