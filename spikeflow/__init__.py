"""spikeflow runs spiking networks on live sensor streams."""
