"""Sinks: where samples and spikes go."""
