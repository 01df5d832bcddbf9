"""Decoders: how spikes become samples."""
