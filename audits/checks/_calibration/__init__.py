"""Parts of the check `calibration`, which is in calibration.py beside this folder."""
