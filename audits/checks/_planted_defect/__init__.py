"""Parts of the check `planted_defect`, which is in planted_defect.py beside this folder."""
