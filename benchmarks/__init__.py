"""Speed and time to score against the alternatives, side by side: ``python -m benchmarks.run``."""
