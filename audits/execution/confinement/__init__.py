"""The parts of Linux that confine a process without the rights of root: one file for each part.

`audits/execution/cell.py` puts them together. The order is fixed there, because each part takes
away the right to do what came before. These files import nothing else of ours but `audits.errors`.
"""
