"""Parts of the check `duplicates`, which is in duplicates.py beside this folder."""
