# tries: an answer that fills the memory of the grader
# verdict: output_limit
def add(a, b):
    return "3" * (8 << 20)
