"""Neuron models as data: one TOML file of Brian2 equations each."""
