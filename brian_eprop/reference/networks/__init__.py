"""Networks described by plain arrays: of spiking units, of rate units, and random ones."""
