"""What stored studies say: tables, rankings, intervals, verdicts. Nothing here draws or prints."""
