"""Jobs on the nodes of a Ray cluster: an agent on each node hosts the local engine, this process directs."""
