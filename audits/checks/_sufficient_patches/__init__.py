"""Parts of the check `sufficient_patches`, which is in sufficient_patches.py beside this folder."""
