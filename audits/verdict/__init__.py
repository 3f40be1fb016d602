"""From a policy and evidence to a verdict, and policies that are written for the user.

May import `audits.execution` and the rooms below.
"""
