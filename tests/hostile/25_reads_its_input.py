# tries: to wait for somebody to type
# verdict: runtime_error
def add(a, b):
    return int(input())
