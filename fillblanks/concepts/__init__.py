"""A network opened at a place inside, and what it has there.

graphs.py finds the nodes at which a network can be cut and makes two networks of it; cut.py chooses
a node and tells which values lie where in the image. May import all of fillblanks.
"""
