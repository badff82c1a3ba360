"""Neuron models and their surrogates: what a neuron is, before anything learns."""
