"""Traces are not there to be recorded where credit flows backwards: says so, and what to do."""

from brian2.core.variables import Variables

#: What people record of the engine ``traces``, besides eps_<state>.
TRACES = ("e_trace", "e_bar", "L", "psi")


class NotComputedError(KeyError):
    """A variable that only the engine ``traces`` computes."""

    def __str__(self):
        return self.args[0]


class _VariablesWithoutTraces(Variables):
    def __getitem__(self, item):
        try:
            return super().__getitem__(item)
        except KeyError:
            if item in TRACES or item.startswith("eps_"):
                raise NotComputedError(
                    f"'{self.owner.name}' has no variable '{item}': the engine 'credit' computes "
                    "gradients without traces and learning signals. To record them, choose "
                    "EProp(engine='traces')"
                ) from None
            raise


def explain_missing_traces(group):
    """Let a group say why it has no traces, when it is asked for them."""
    # Groups create their variables themselves, in the middle of their constructor.
    group.variables.__class__ = _VariablesWithoutTraces
