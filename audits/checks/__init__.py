"""The checks, one file each. A new check is a file here, a line in `registered.py`, and a test.

The parts of a check that fill more files are in a folder of its name with `_` before it; what
several checks share is in `_shared/`.

May import `audits.data` and `audits.evidence`. docs/adding_a_check.md shows a complete example.
"""
