"""Running checks on a model in a child process, and keeping what was measured.

`child` is what runs in that process. May import `audits.config` and the rooms below.
"""
