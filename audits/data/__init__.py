"""Labelled images: the kinds of data set that a config can name, each read into an ImageSet.

May import `audits.errors` and `audits.strict`.
"""
