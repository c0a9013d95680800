"""The command line: it parses, calls what is below, and prints."""
