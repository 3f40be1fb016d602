"""The formats (MLflow's flavours) in which a model may be stored, one file each.

A new format is one file beside these, one line in `registered.py`, and one test. May import
`audits.models.contract`, `audits.models.pt2` and `audits.errors`.
"""
