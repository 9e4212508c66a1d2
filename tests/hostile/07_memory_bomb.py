# tries: to take memory without end
# verdict: memory_limit
def add(a, b):
    pieces = []
    while True:
        pieces.append(bytearray(8 << 20))
