"""The loop and its parts: what a study tries next, and the only writer of the study."""
