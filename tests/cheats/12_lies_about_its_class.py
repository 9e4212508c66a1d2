# tries: an object whose __class__ is int
# verdict: wrong_answer
class Liar:
    __class__ = int

    def __eq__(self, other):
        return isinstance(other, int)


def add(a, b):
    return Liar()
