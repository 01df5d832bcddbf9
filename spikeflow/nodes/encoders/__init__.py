"""Encoders: how samples become spikes."""
