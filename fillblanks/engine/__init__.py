"""How passes are run, and how fast: plans, the engine that carries them out, and their tuning.

engine.py runs passes, graph.py and mixed.py rewrite the network for speed, aten.py is the one door
to names that torch does not promise to keep; timing.py, search.py, comparison.py and tuning.py find
a fast plan. May import fillblanks.masks, fillblanks.classifier and fillblanks.memory, nothing of
fillblanks.fills: the engine is given the update that a step computes, and tuning is given the fill
that it compares plans by.
"""
