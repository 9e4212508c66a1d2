# tries: True where 1 would be right, for what that is worth
# verdict: wrong_answer
def add(a, b):
    return bool(a + b)
