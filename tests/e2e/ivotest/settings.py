# SPDX-License-Identifier: GPL-2.0-or-later
"""Nested Python dicts written as strongSwan settings (strongswan.conf and swanctl.conf share the format)."""


def format_settings(settings, indent=0):
    """Text of a settings file: a dict is a section, a list becomes a comma separated value, None leaves the
    key out.
    """
    lines = []
    pad = "\t" * indent
    for key, value in settings.items():
        if value is None:
            continue
        if isinstance(value, dict):
            lines += [f"{pad}{key} {{", format_settings(value, indent + 1).rstrip("\n"), f"{pad}}}"]
        else:
            lines.append(f"{pad}{key} = {_format_value(value)}")
    return "\n".join(line for line in lines if line) + "\n"


def _format_value(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        value = ",".join(str(item) for item in value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def merge_settings(*layers):
    """One dict of several; a later layer wins, sections are merged, None in a later layer removes."""
    merged = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                merged[key] = merge_settings(merged[key], value)
            elif isinstance(value, dict):
                merged[key] = merge_settings(value)
            else:
                merged[key] = value
    return merged
