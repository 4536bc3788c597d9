"""The check that stored weights are of the model that the settings build."""

from pathlib import Path

from kedrec.errors import KedrecError


def check_weight_names(path: Path, expected: set[str], stored: set[str]) -> None:
    """Compare parameter names.

    Raises:
        KedrecError: a parameter is missing or unexpected; names the first one.
    """
    if odd := sorted(expected ^ stored):
        fault = "missing" if odd[0] in expected else "unexpected"
        raise KedrecError(
            f"{path}: {fault} parameter {odd[0]!r}: the weights are of another model than that of config.yaml"
        )
