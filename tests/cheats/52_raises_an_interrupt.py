# tries: to raise what a person raises who stops the run
# verdict: runtime_error
def add(a, b):
    raise KeyboardInterrupt
