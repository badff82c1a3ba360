"""Rules that keep a part of e-prop's trace, or another error: one file for each."""

from .ostl import OSTL
from .ottt import OTTT
from .rflo import RFLO
from .superspike import SuperSpike

#: By name, the rules that a file of a network may hold besides e-prop.
RULES = {cls.__name__: cls for cls in (OSTL, OTTT, RFLO, SuperSpike)}

__all__ = ["OSTL", "OTTT", "RFLO", "RULES", "SuperSpike"]
