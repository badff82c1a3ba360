"""What learning adds to Brian2 objects: code, variables, moments of a step, flags of a step.

``internals``
    The semi-private names of Brian2 that are used anywhere.
``code``
    Code and variables added to groups that exist; templates that only run in some steps.
``schedule``
    Where in Brian2's time step everything happens.
``step_flags``
    Trials, updates and windows, as flags of the present step, and the code that sets them.
"""
