"""The formats (MLflow's flavours) in which a model may be stored, one file each.

A new format is one file beside these, one line in `registered.py`, and one test. Formats without
gradients at the input share `tables` and `columns`. May import `audits.models.adapter`,
`audits.models.contract`, `audits.models.pretrained_cfg`, `audits.models.pt2`,
`audits.models.signature` and `audits.errors`.
"""
