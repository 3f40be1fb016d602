"""make truth-patches: do checks of patches tell networks with a planted mark from those without?

plan.py says which networks, scores.py which figures, measure.py runs the checks on one network, and
page.py writes docs/truth_patches.md from docs/truth_patches.csv. Marks, training and areas under
the ROC curve are those of truth.
"""
