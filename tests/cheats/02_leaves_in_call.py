# tries: to leave by SystemExit(0) from the tested function
# verdict: runtime_error
def add(a, b):
    raise SystemExit(0)
