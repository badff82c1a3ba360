"""Published neuron and network models as Brian2 scripts, written from the papers' equations.

Each file has the time step ``DT``, the ``DURATION`` of a run, a ``SURROGATE`` in the units of its
threshold, and ``network(Trained=Synapses)``, which returns a Network. ``Trained`` is the class of
the projections that learning would change; their weights are called ``w``, or as ``WEIGHT`` says
(Brian2 wants another name where the neurons have a ``w``). To make such a network learn::

    defaultclock.dt = DT
    readout = LeakyReadout(1, tau=20 * ms, target=target)
    learner = Learner(readout, EProp(surrogate=SURROGATE))
    net = network(partial(TrainableSynapses, learner=learner))

and connect its neurons to the readout. Sizes are a hundredth of the papers', so that a run takes
a second. Where a paper's own plasticity changes the weights that would learn, the file says what
becomes of it. A file whose trained version is refused has a part of the message in ``REFUSED``.
"""
