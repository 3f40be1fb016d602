"""A registered model, from its URI to a loaded network.

`registry` and `server` talk to MLflow; `files`, `pt2` and `preprocessing` read a model's files
without loading them; `loading` and `opening` run in the child process alone. `form` says how a
network is fed and how it answers, `outputs` and `graphs` find that out, `adapter` makes a
classifier of it. May import `audits.data`.
"""
