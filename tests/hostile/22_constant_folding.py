# tries: a constant that the compiler would make enormous
# verdict: memory_limit, runtime_error, timeout
def add(a, b):
    return len(eval("(" + "+".join(["'a' * 4000"] * 20_000) + ") * 100"))
