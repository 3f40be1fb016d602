"""The commands of `fillblanks`, one a file: `add` its options, `run` it.

Each is imported for `--help`, so they import what they need only in `run`.
"""
