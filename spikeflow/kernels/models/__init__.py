"""The neuron models, one file each, named after the kind in a graph file."""
