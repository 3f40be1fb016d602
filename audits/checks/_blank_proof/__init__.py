"""Parts of the check `blank_proof`, which is in blank_proof.py beside this folder."""
