"""Parts of the check `concepts`, which is in concepts.py beside this folder."""
