"""Sources: where samples and spikes come from."""
