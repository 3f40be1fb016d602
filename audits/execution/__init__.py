"""Running checks on a model in a child process, and keeping what was measured.

Start at `session.py`. `child.py` runs in the child process, all other files in the auditing one.
May import `audits.config` and the rooms below.
"""
