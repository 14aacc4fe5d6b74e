"""What is wrong with a machine, an installation or a start, before a training is: `dpnet doctor`.

`facts` and the measurements look; the checks, pure functions of what all ranks have seen, judge: each returns findings.
Nothing here changes what it looks at, and nothing knows how a command prints.
"""
