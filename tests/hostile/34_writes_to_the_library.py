# tries: to change the modules that later programs import
# verdict: passed
import os
import sys

targets = [os.path.dirname(os.__file__), "/usr/lib", "/usr/bin", "/", "/dev", "/etc", "/proc"]
for folder in [*targets, *(path for path in sys.path if os.path.isdir(path))]:
    try:
        open(f"{folder}/sitecustomize.py", "w").close()
    except OSError:
        continue
    raise RuntimeError(f"escaped: {folder} is writable")


def add(a, b):
    return a + b
