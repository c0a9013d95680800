"""What is told of runs, found by name: files, servers, whatever an installed package adds."""
