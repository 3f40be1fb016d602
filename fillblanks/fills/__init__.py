"""How a network fills in blanks, section by section of the paper.

first_order.py (Eq. 2), second_order.py (4.5), threshold.py (Eq. 4), expected.py (4.1),
progressive.py (4.2); tune.py finds a fast plan for expected fills. The top room of fillblanks: may
import all the others.
"""
