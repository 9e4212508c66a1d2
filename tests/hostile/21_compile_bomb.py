# tries: source that the compiler chokes on
# verdict: runtime_error, timeout, memory_limit
def add(a, b):
    return eval("-" * 500_000 + "1")
