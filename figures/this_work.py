"""Our own figures, in the order of the gallery. Each group is drawn by a module with a ``FIGURES`` of its own."""

from . import this_work_cost, this_work_quality

FIGURES = (*this_work_cost.FIGURES, *this_work_quality.FIGURES)
