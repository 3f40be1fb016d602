"""The config of an audit, its policy, and the reading of both.

May import `audits.checks` and the rooms below.
"""
