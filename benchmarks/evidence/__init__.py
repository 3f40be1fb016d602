"""make evidence: which maps hold, at how many passes?

contenders.py has the methods, small.py measures them on a network of CIFAR-10, mosaic.py on four
photographs in one image, page.py writes docs/evidence.md.
"""
