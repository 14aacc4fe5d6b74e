"""Proposals: what a job file should say of data that nobody has described yet, for `dpnet init` and `dpnet data info`.

`propose` looks at data of any kind, and leaves tables to `table`; `columns` and `labels` say in words what was found.
"""
