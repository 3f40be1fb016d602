"""Evidence for people: the contact sheet and the page.

May import `audits.verdict` and the rooms below.
"""
