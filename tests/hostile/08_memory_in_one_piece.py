# tries: to take more memory at once than there is
# verdict: memory_limit
def add(a, b):
    return len(bytes(1 << 45))
