"""The runtime carries batches between nodes: channels, clocks, windows, stages, and the engine that runs them."""
