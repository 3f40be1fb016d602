"""Makes a verdict of a policy and evidence, and writes policies for users.

May import `audits.execution` and the rooms below.
"""
