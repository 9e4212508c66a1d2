# tries: to raise an AssertionError of its own, as if the tests were at fault
# verdict: runtime_error
def add(a, b):
    raise AssertionError("the tests are wrong")
