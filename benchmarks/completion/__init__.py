"""`make completion`: measures what `fillblanks.complete` draws, and writes docs/completion.md.

`protocol.py` has the settings, which were fixed before anything was measured; `photographs.py`,
`imagenet.py`, `heads.py` and `small.py` have the images and networks; `kept.py` keeps finished
parts, `asked.py` fills and reads, `measure.py` goes through all rows; `figures.py`, `tables.py`,
`pictures.py` and `page.py` write the page.
"""
