"""make truth: are planted marks found, and are networks without one left in peace?

marks.py plants, zoo.py trains a network for each mark, faults.py and measure.py run the checks,
runner.py keeps what is done, table.py makes docs/truth.csv of it, and page.py docs/truth.md. A
check that joins gets a stage in measure.py and a line in page.py.
"""
