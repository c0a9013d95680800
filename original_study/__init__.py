"""The experiments of the report that this project starts from, run again, with a verdict for each claim."""
