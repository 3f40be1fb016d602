"""Places of an image on which the answer of a network rests.

windows.py lays square windows over an image, favourites.py finds the one that a network relies on
most, and pasting.py puts a window, or the colour, of one image into another. May import all of
fillblanks.
"""
