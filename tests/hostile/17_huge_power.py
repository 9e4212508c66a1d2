# tries: one operation inside the interpreter that takes very long
# verdict: timeout
def add(a, b):
    return str(7 ** (10**8))
