"""Recurrent cells: the step and its Jacobians, one module a cell."""
