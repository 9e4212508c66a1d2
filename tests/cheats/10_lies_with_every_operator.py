# tries: an answer that lies with every operator a test may use
# verdict: wrong_answer
class Liar:
    def _yes(self, *others):
        return True

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = _yes
    __hash__ = None

    def __ne__(self, other):
        return False

    def __len__(self):
        return 3

    def __iter__(self):
        return iter((3, 0, 15, 0))

    def __sub__(self, other):
        return 0

    __rsub__ = __sub__

    def __abs__(self):
        return 0

    def __float__(self):
        return 0.0


def add(a, b):
    return Liar()
