"""Places of an image on which the answer of a network rests.

Four methods, a file each, give maps of an image: blank_difference.py, occlusion.py, pami.py and
sobol.py. They ask for probabilities alone, by asking.py. faithfulness.py says whether a map holds,
patch_means.py has maps that know nothing, permuted.py a network that knows nothing, and
region_figures.py compares maps with regions that a person has outlined. By ranks.py, agreement.py
compares the maps of several networks, and alignment.py maps with those by people.

windows.py lays square windows over an image, favourites.py finds the one that a network relies on
most, and pasting.py puts a window, or the colour, of one image into another. shared_fill.py makes
one fill for all images, and asks at which window it turns them into a class.

gates.py orders the patches of an image by how much its answer needs them, and sufficient.py tells
how few of them suffice for the answer. May import all of fillblanks.
"""
