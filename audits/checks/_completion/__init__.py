"""Parts of the check `completion`, which is in completion.py beside this folder."""
