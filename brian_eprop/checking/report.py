"""What the check of a user's own network found, as a table."""

from attrs import frozen

TOLERANCE = 1e-6


@frozen
class CheckedDerivative:
    """One number that learning computed, and the finite difference for it.

    Attributes
    ----------
    projection : str
        Name of the synapses, or ``"group.parameter"``.
    quantity : str
        ``"grad"``, ``"grad_delay"``; with ``EProp(engine="traces")`` also ``"e_trace"`` and ``"eps_<state>"``, in
        the step in which they differ most.
    i, j : int
        Indices of the synapse. For a parameter i is −1 and j the neuron.
    value, finite_difference : float
        In SI units.
    error : float
        Their difference relative to the largest value of the projection.
    uncertainty : float
        Of the finite difference, relative to the same.
    remark : str
        Why the number says nothing, if it does not.
    """

    projection: str
    quantity: str
    i: int
    j: int
    value: float
    finite_difference: float
    error: float
    uncertainty: float
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether both numbers are there, are known well enough, and agree."""
        # A NaN compares as False
        known = self.error <= TOLERANCE and self.uncertainty <= TOLERANCE
        return bool(known and not self.remark)


@frozen
class NetworkCheck:
    """What :meth:`Learner.check` found; ``str`` makes a table of it.

    Attributes
    ----------
    title : str
        Rule, length, spikes.
    steps, spikes : int
        Length of the run, and the spikes of all groups with a threshold in it.
    rows : tuple of CheckedDerivative
        The worst first.
    reason : str
        Why the network cannot be checked, or why what was found says nothing; empty if it does.
    switched_off : tuple of str
        Projections with ``active = False``, which are not compared.
    """

    title: str
    steps: int
    spikes: int
    rows: tuple[CheckedDerivative, ...]
    reason: str = ""
    switched_off: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there was something to compare, and all of it agrees to 1e-6."""
        return bool(self.rows) and not self.reason and all(row.passed for row in self.rows)

    @property
    def worst(self) -> CheckedDerivative | None:
        """The row that differs most."""
        return self.rows[0] if self.rows else None

    def __str__(self):
        lines = [self.title]
        if self.rows:
            width = max(10, *(len(row.projection) for row in self.rows))
            kind = max(8, *(len(row.quantity) for row in self.rows))
            lines.append(
                f"{'projection':{width}}  {'quantity':{kind}}  {'i':>5}  {'j':>5}  {'value':>13}  "
                f"{'difference':>13}  rel. error"
            )
            for row in self.rows:
                verdict = "ok" if row.passed else f"FAILED {row.remark}".rstrip()
                if not row.passed and not row.remark and row.uncertainty > TOLERANCE:
                    verdict = f"UNDECIDED finite difference is known to {row.uncertainty:.0e} only"
                i = "" if row.i < 0 else row.i
                lines.append(
                    f"{row.projection:{width}}  {row.quantity:{kind}}  {i:>5}  {row.j:>5}  "
                    f"{row.value:13.6g}  {row.finite_difference:13.6g}  {row.error:10.1e}  "
                    f"{verdict}"
                )
        if self.switched_off:
            lines.append(f"switched off, and not compared: {', '.join(self.switched_off)}")
        if self.reason:
            lines.append(self.reason)
        lines.append("passed" if self.passed else "NOT PASSED")
        return "\n".join(lines)
