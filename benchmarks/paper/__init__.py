"""`make paper`: what the paper shows, measured here.

`protocol.py` says what is done, and was frozen before any figure; `measure.py`, `grids.py` and
`colour.py` do it; `pictures.py`, `tables.py` and `page.py` write it down.
"""
