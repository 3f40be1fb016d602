"""Bounds of a network's answers while some pixels may have any value, and attacks from below.

steps.py has the kinds of steps that can be bounded, reading.py finds them in a network's graph by
operations.py and arithmetic.py, interval.py and crown.py bound them, and prover.py puts these
together for an image and a blank. attack.py looks for a fill of the blank that changes the answer,
and lipschitz.py bounds how fast answers can change at all. rounding.py says how much rounding may
move each sum. May import all of fillblanks.
"""
