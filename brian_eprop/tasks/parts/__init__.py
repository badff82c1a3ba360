"""What tasks are made of: checks of options, encodings as spikes, splits, metrics."""
