"""A network opened at a place inside, and what it has there.

graphs.py finds the nodes at which a network can be cut and makes two networks of it; cut.py chooses
a node and tells which values lie where in the image, places.py which pixels. dictionary.py takes
these values apart into concepts, and importance.py ranks them by Sobol's indices.

states.py tells what is there for each patch of an image, in several layers, and learned_gates.py
trains small networks that see from this which patches the answer needs. May import all of
fillblanks.
"""
