# tries: to use up all inodes
# verdict: passed
files = 0
try:
    while files < 5000:
        open(f"/tmp/{files}", "w").close()
        files += 1
except OSError:
    pass
if files >= 5000:
    raise RuntimeError("escaped: 5000 files")


def add(a, b):
    return a + b
