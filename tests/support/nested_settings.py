"""Objects whose settings are in groups, made from flat keyword arguments."""

import inspect
from dataclasses import replace


def built(cls, *positional, **settings):
    """Return an object of a class; ``loader__batch_size=4`` sets one field of the group ``loader``."""
    parameters = inspect.signature(cls).parameters
    arguments = {name: value for name, value in settings.items() if "__" not in name}
    groups = {}
    for name, value in settings.items():
        group, nested, field = name.partition("__")
        if nested:
            groups.setdefault(group, {})[field] = value
    for group, fields in groups.items():
        default = parameters[group].default
        required = default is inspect.Parameter.empty
        arguments[group] = parameters[group].annotation(**fields) if required else replace(default, **fields)
    return cls(*positional, **arguments)
