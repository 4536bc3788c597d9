"""The base class of metrics from outside the package, and their place among the metrics of a test."""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kedrec.errors import KedrecError

Row = Mapping[str, Any]


class Metric(ABC):
    """A metric of a test, computed from the rows of its ``predictions.jsonl``.

    A metric of your own is a subclass in a module of your own, named by ``metrics: [{class_path: my_module.MyMetric}]``
    in the settings of the model; arguments of its constructor are ``init_args``.
    """

    @abstractmethod
    def compute(self, rows: Sequence[Row]) -> dict[str, float]:
        """Return metrics, name -> number; NaN for one that is not defined.

        A name consists of letters, digits and underscores. ``NAME_low`` and ``NAME_high`` are shown as the interval of
        ``NAME``.

        Args:
            rows: as ``predictions.jsonl`` has them; ``docs/predictions.md`` describes their fields.
        """


def added_metrics(metrics: Sequence[Metric], rows: Sequence[Row], known: Collection[str]) -> dict[str, float]:
    """Return the metrics that classes from outside the package compute, name -> number.

    Args:
        metrics: the classes' objects.
        rows: predictions of the test.
        known: names that the test has already.

    Raises:
        KedrecError: a name exists already, or has other characters than letters, digits and underscores.
    """
    found: dict[str, float] = {}
    for metric in metrics:
        origin = f"model.init_args.metrics: {type(metric).__module__}.{type(metric).__qualname__}"
        written = json.loads(json.dumps(rows))  # lists in place of tuples, as in the file
        for name, value in metric.compute(written).items():
            if not name.isidentifier():
                raise KedrecError(f"{origin}: metric {name!r}; expected a name of letters, digits and underscores")
            if name in known or name in found:
                raise KedrecError(f"{origin}: a metric {name!r} exists already; give this one another name")
            found[name] = float(value)
    return found
