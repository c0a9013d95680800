"""Who may write to a study: one process at a time, on one machine or on many."""
