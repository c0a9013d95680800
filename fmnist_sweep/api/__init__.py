"""The Python door: what the commands do, for a script or a notebook. The command line uses it as well."""
