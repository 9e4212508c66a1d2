# tries: to leave a path that is too long for whoever cleans up
# verdict: passed
# verdict landlock: runtime_error
import os

for _ in range(200):
    os.mkdir("d" * 100)
    os.chdir("d" * 100)
open("file", "w").close()


def add(a, b):
    return a + b
