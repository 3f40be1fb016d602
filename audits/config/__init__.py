"""All that an audit is told: the config, the policy, and how both are read.

May import `audits.checks` and the rooms below.
"""
