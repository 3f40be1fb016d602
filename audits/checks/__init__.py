"""The checks, one file each. A new check is a file here, a line in `registered.py`, and a test.

May import `audits.data` and `audits.evidence`. docs/adding_a_check.md shows a complete example.
"""
