"""A registered model, from its URI to a loaded network.

`registry` and `server` talk to MLflow; `files`, `pt2` and `preprocessing` read a model's files
without loading them; `loading` runs in the child process alone. May import `audits.data`.
"""
