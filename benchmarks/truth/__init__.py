"""make truth: are planted marks found, and are networks without one left in peace?

marks.py plants, zoo.py trains a network for each mark and keeps it, measure.py runs the checks,
page.py writes docs/truth.md. A check that joins gets a line in measure.py.
"""
