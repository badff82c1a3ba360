"""The symbolic layer, alone in importing SymPy: from a group's equations to A, b and c.

``programs``
    Abstract code as SymPy expressions.
``derivatives``
    Derivatives of Brian2's functions, and what has none.
``integrator``, ``one_step``
    The code of a state update, and the map h^t → h^{t+1} of a whole step.
``arrivals``
    What a presynaptic spike does to its target.
``linearization``, ``adjoint``
    The linear system of a synapse, forwards and backwards.
``statements``
    Expressions as Brian2 code.
"""
