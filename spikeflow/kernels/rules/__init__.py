"""Learning rules, one file each, named as in a graph file."""
