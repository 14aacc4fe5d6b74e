"""What a user may ask for: the configuration of a job, from TOML and `--set` to one typed, checked object, `job.Job`.

Everything about a key stands in one place, beside its default (`job`); checks, template and reference are made from it.
Every rank imports this package, so it imports no numpy, and pydantic only where a value is checked. It does not know
what the rest of dpnet makes of a key: it knows no network, no rank, and no file but the job file.
"""
