"""What the terminal shows: live displays and tables."""
