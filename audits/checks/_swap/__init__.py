"""Parts of the check `swap`, which is in swap.py beside this folder."""
