# tries: to run a program from memory, which no file system has seen
# verdict: passed
# verdict docker: runtime_error
# verdict landlock: runtime_error
import os

program = os.memfd_create("program")
with open("/bin/sh", "rb") as shell:
    os.write(program, shell.read())
ours, theirs = os.pipe()
if os.fork() == 0:
    os.dup2(theirs, 1)
    os.execve(program, ["sh", "-c", "/usr/bin/id -u; echo x > /usr/escaped; echo end"], {})
os.close(theirs)
with os.fdopen(ours) as output:
    lines = output.read().split()
os.wait()
if lines[-1:] != ["end"] or lines[0] == "0" or os.path.exists("/usr/escaped"):
    raise RuntimeError(f"escaped, or did not run: {lines}")


def add(a, b):
    return a + b
