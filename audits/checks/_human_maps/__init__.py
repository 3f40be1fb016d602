"""Parts of the check `human_maps`, which is in human_maps.py beside this folder."""
