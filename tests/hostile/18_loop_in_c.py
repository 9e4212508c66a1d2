# tries: a loop that never comes back to the interpreter
# verdict: timeout
def add(a, b):
    return sum(range(10**12))
