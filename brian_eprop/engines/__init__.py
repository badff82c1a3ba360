"""The two engines that compute gradients in Brian2, behind one contract.

``contract``
    What an engine, a plan of a projection and a population promise.
``traces``, ``eligibility``
    Every synapse carries its eligibility trace, advanced in every step.
``credit``
    A few numbers per neuron and step are recorded, and the adjoint is played backwards at the end
    of each window: ``history`` (ring buffers), ``populations`` (the adjoint of groups and
    readout), ``presynaptic`` and ``postsynaptic`` (both ends of a projection), ``backward_pass``.
``trials``
    The reset of the state at the begin of each trial.
"""
