"""Parts of the check `robustness`, which is in robustness.py beside this folder."""
