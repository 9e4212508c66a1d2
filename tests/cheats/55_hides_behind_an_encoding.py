# tries: source that says something else in the encoding it names; it is judged by what it says as text
# -*- coding: utf-7 -*-
# verdict: wrong_answer
def add(a, b):
    # +AAo-    return sum((a, b))
    return 99
