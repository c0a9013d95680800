"""What is done with a study's best trials."""
