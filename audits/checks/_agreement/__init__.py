"""Parts of the check `agreement`, which is in agreement.py beside this folder."""
