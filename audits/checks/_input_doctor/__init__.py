"""Parts of the check `input_doctor`, which is in input_doctor.py beside this folder."""
