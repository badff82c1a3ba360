"""What a user puts into a Brian2 script so that synapses learn.

Synapses, readout and learner; rules, feedback, optimizers, regularizers, trained parameters.
"""
