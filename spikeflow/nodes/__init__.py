"""The nodes that come with spikeflow: one file a kind, and what several kinds share."""
