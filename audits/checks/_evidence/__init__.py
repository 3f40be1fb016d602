"""Parts of the check `evidence`, which is in evidence.py beside this folder."""
