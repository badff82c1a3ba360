"""Names of the variables that learning adds to groups: internal ones begin with two underscores.

No name of a user begins with an underscore in Brian2, and what does is in no list of states.
With one underscore Brian2 makes names of its own from those of users: ``_v`` for the next value of
``v``. With two it makes only those of integrators' intermediate steps: ``__k_1_v``.
"""

PREFIX = "__"


def internal(*parts):
    """The internal name that is made of parts, which may be internal names themselves."""
    return PREFIX + "_".join(part.removeprefix(PREFIX) for part in parts)


def is_internal(name):
    """Whether a name is one that users never see."""
    return name.startswith(PREFIX)
