"""Evidence for people: the contact sheet and the HTML report.

May import `audits.verdict` and the rooms below.
"""
