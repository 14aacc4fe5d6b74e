"""What happens when something breaks: one file per verb of a fault's life.

A training is asked to stop (`signals`), a rank is slow (`stragglers`), hangs (`watchdog`) or is lost (`common_step`,
`cut_off`), numbers are not finite (`nonfinite`), nodes hold different bits (`replica_check`). Decisions are pure
functions of what was seen. This room must not know the training loop, which does what is decided.
"""
