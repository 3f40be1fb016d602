"""`make paper`: measures the results of the paper with this project.

`protocol.py` has the settings, which were fixed before anything was measured; `measure.py`,
`grids.py` and `colour.py` measure; `pictures.py`, `tables.py` and `page.py` write the page.
"""
