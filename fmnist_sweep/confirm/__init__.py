"""The confirmation of a study: which candidates, how often, from which seeds."""
