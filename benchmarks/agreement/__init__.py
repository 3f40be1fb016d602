"""make agreement: do versions of a network look at the same places, and where people would look?

nets.py has the networks, measure.py the figures, page.py writes docs/agreement.md.
"""
