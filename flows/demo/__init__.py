"""`fillblanks demo`: the network (network.py), its training (train.py), the demo (story.py).

With `--photos`: ImageNet networks and photographs (imagenet.py), the demo (photos.py).
"""
