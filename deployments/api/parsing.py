"""Parse the options of a request, as clients write them in a query or a form."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from deployments.api.errors import validation_message
from voxgraph.errors import InvalidOptions

Options = TypeVar("Options", bound=BaseModel)

_LIST_SUFFIX = re.compile(r"\[\d*\]$")
"""What clients put behind the name of a list: ``tasks[]`` or ``tasks[0]``."""


def parse_options(model: type[Options], given: Mapping[str, Sequence[str]]) -> Options:
    """Parse the options of a request.

    An option may come several times, also as ``name[]`` or ``name[0]``: the values of a list are joined, and
    those of any other option must be equal. Empty values count as not given.

    Raises:
        InvalidOptions: There is no such option, it has two values, or a value has the wrong type or is out of
            range.
    """
    values: dict[str, list[str]] = {}
    for name, texts in given.items():
        values.setdefault(_LIST_SUFFIX.sub("", name), []).extend(text for text in texts if text != "")
    if unknown := sorted(values.keys() - model.model_fields.keys()):
        known = ", ".join(model.model_fields) or "none"
        raise InvalidOptions(f"There is no option {', '.join(unknown)} here; the options are: {known}.")
    try:
        return model.model_validate(
            {name: _one(model, name, texts) for name, texts in values.items() if texts}
        )
    except ValidationError as error:
        raise InvalidOptions(validation_message(error.errors())) from error


def _one(model: type[BaseModel], name: str, texts: list[str]) -> str:
    """Return one text for the values of an option: a list separated by commas, or the single value."""
    if get_origin(model.model_fields[name].annotation) is tuple:
        return ",".join(texts)
    if len(set(texts)) > 1:
        raise InvalidOptions(f"The option {name} has {len(set(texts))} values: {', '.join(texts)}.")
    return texts[0]
