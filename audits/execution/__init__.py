"""Running checks on a model in a child process, and keeping what was measured.

Start at `session.py`. `worker` and `model_process` hold the child process; `wire` and `answers`
read what it sends, and `concluding` makes parts and evidence of that. In the child `entry` comes
first, with `cell` and `confinement`, then `serving`, which calls functions of `child`, `tuning` and
`conversion`. May import `audits.config` and the rooms below.
"""
