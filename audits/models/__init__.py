"""A registered model, from its URI to a loaded network.

`registry` and `server` talk to MLflow. `files` reads a model's files without loading them, with the
help of `flavours` (one file a format), `pt2` and `trust`. `contract` is how its images are fed;
`preprocessing`, `metadata`, `pretrained_cfg` and `signature` are the sources of that. `classes`
matches the data's classes to the logits. `loading` and `opening` run in the child process alone:
`form` says how a network answers, `outputs` and `graphs` find that out, `adapter` makes a
classifier of it. May import `audits.data`.
"""
