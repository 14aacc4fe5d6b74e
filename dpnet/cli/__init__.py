"""The user's commands: what may be said on the command line, what each command does, how an error is told.

Each command is a thin layer over the package, one file each in `commands`. Nothing below imports this.
"""
