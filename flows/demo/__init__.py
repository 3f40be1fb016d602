"""`fillblanks demo`: the network (network.py), its training (train.py), the demo (story.py)."""
