"""The languages that a caller allows, checked against those of the model. Needs no torch."""

from collections.abc import Mapping, Sequence

from voxgraph.errors import InvalidOptions

RETIRED_CODES = {"iw": "he", "jw": "jv"}
"""Codes of the models' labels that ISO 639 has replaced
(https://github.com/speechbrain/speechbrain/issues/2396)."""
MAX_NAMED = 10
"""Most unknown codes that an error message names, each with at most as many characters."""


def language_names(labels: Sequence[str]) -> dict[str, str]:
    """Return the English name of each language by its current code, from labels such as ``iw: Hebrew``."""
    pairs = (label.partition(": ")[::2] for label in labels)
    return {RETIRED_CODES.get(code, code): name or code for code, name in pairs}


def allowed_names(codes: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return the names of the allowed languages by code.

    Args:
        codes: ISO 639 codes, retired ones included; at least one.
        known: Result of `language_names` for the model's labels.

    Raises:
        InvalidOptions: A code is not one of the model's; the message names it.
    """
    current = [RETIRED_CODES.get(code, code) for code in codes]
    unknown = [ascii(code[:MAX_NAMED]) for code in current if code not in known]
    if unknown:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        raise InvalidOptions(
            f"languages: the model does not know {', '.join(unknown[:MAX_NAMED])}{more}. "
            f"It knows {' '.join(sorted(known))}."
        )
    return {code: known[code] for code in current}
