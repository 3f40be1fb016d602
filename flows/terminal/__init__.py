"""The parts that only the command line needs; no flow imports them.

They set up and end a process that is ours: its environment, its progress line, its temporary
Prefect server, its watcher, and its end at Ctrl-C. A program of somebody else's that calls a flow
gets none of this.
"""
