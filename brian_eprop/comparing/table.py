"""The table that a comparison prints."""

from collections.abc import Sequence

from ..reference import RULES
from ..reference.comparison import Comparison
from ..reference.labels import described_rule, rule_label

__all__ = ["format_rules", "format_table"]


def format_table(table: Sequence[Comparison]) -> str:
    """Comparisons as text: one rule a line, those that do not apply below.

    Parameters
    ----------
    table : list of :class:`brian_eprop.reference.comparison.Comparison`

    Returns
    -------
    str
    """
    head = ("rule", "error", "±", "cosine", "±", "bias", "stored", "flop/step", "µs/step", "")
    rows = [head]
    for row in table:
        if row.refusal is None:
            rule = described_rule(row.label)
            spread = (f"{row.error_spread:.2g}", f"{row.cosine_spread:.2g}")
            rows.append(
                (
                    row.label,
                    f"{row.error:.2g}",
                    spread[0] if rule.stochastic else "",
                    f"{row.cosine:.3f}",
                    spread[1] if rule.stochastic else "",
                    f"{row.bias:.2g}" if rule.stochastic else "",
                    f"{row.memory:.3g}",
                    f"{row.operations:.3g}",
                    f"{1e6 * row.seconds:.3g}",
                    _kind(rule),
                )
            )
    lines = _aligned(rows, left={0, len(head) - 1})
    refused = [f"{row.label}: {row.refusal}" for row in table if row.refusal is not None]
    return "\n".join(lines + (["", *refused] if refused else [])) + "\n"


def format_rules() -> str:
    """All rules as text: what they are, what they cost, and where they come from."""
    rows = [("rule", "kind", "facing", "memory", "time/step", "source")]
    for name, registered in RULES.items():
        for options in registered.examples:
            rule = registered.with_options(options)
            costs = (_power(rule.memory), _power(rule.time))
            source = rule.source if options is registered.examples[0] else ""
            label = rule_label(name, options)
            rows.append((label, _kind(rule), rule.facing, *costs, source))
    return "\n".join(_aligned(rows, left=set(range(6)))) + "\n"


def _kind(rule):
    kind = ["exact" if rule.exact else "unbiased" if rule.unbiased else "biased"]
    kind += ["causal"] * rule.causal + ["local"] * rule.local + ["learned"] * rule.learned
    return ", ".join(kind)


def _power(exponents):
    """n²T for (2, 1)."""
    powers = ("", "{}", "{}²", "{}³", "{}⁴")
    units, steps = (
        powers[exponent].format(of) for exponent, of in zip(exponents, "nT", strict=True)
    )
    return units + steps


def _aligned(rows, left):
    """Lines of columns of one width each, the columns in `left` to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            text.ljust(width) if k in left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
