"""The configuration of a job: from a TOML file and `--set` to one typed, checked object, `dpnet.config.job.Job`."""
