"""One file for each kind of data set: its config and how it is read.

`audits.data.sources` registers them. May import `audits.data`, `audits.errors`, `audits.strict`.
"""
