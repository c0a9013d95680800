"""The commands. Each parses its options, calls the layer below and prints; anything heavy loads inside."""
