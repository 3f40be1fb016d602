"""Parts of the check `performance`, which is in performance.py beside this folder."""
