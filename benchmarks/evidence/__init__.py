"""What the penalty is worth: recorded learning curves, and every rule replayed on them.

`benchmarks/evidence/plan.md` says what was decided before anything was recorded.
"""
