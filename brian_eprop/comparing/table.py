"""The table that a comparison prints."""

from ..reference import RULES

__all__ = ["format_table"]


def format_table(table):
    """A list of Comparison as text: one rule a line, those that do not apply below."""
    head = ("rule", "error", "±", "cosine", "±", "bias", "stored", "flop/step", "µs/step", "")
    rows = [head]
    for row in table:
        if row.refusal is None:
            rule = RULES[row.rule]
            kind = ["exact" if rule.exact else "unbiased" if rule.unbiased else "biased"]
            kind += ["causal"] * rule.causal + ["local"] * rule.local
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
                    ", ".join(kind),
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        name, *numbers, kind = (text.rjust(w) for text, w in zip(row, widths, strict=True))
        lines.append("  ".join([name.strip().ljust(widths[0]), *numbers, kind.strip()]).rstrip())
    refused = [f"{row.label}: {row.refusal}" for row in table if row.refusal is not None]
    return "\n".join(lines + (["", *refused] if refused else [])) + "\n"
