"""Parts of the check `random_fill`, which is in random_fill.py beside this folder."""
