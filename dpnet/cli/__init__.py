"""The user's commands: the options of the command line, what each command does, how an error is reported.

Each command is a thin layer over the package, one file each in `commands`. Nothing below imports this package.
"""
