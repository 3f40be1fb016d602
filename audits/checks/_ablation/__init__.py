"""Parts of the check `ablation`, which is in ablation.py beside this folder."""
