"""The subset of CloudWatch's filter patterns that the template uses."""

import re
from fnmatch import fnmatchcase

CONDITION = re.compile(r'\(?\s*\$\.(\w+) (=|>) ("[^"]*"|\d+)\s*\)?')


def value_of(pattern: str, value: str, line: dict) -> float:
    """A line's contribution to a metric. `value` is a number or `$.<field>`. 0 if the line does not match."""
    if not any(matches(condition, line) for condition in conditions(pattern)):
        return 0
    return float(line.get(value[2:], 0) if value.startswith("$.") else value)


def conditions(pattern: str) -> list[tuple[str, str, str]]:
    """The field, operator and operand of each condition. Any one must match."""
    inner = re.fullmatch(r"\{ (.+) \}", pattern)[1]
    found = [CONDITION.fullmatch(part.strip()) for part in inner.split("||")]
    assert all(found), f"expected conditions on fields, found {pattern}"
    return [match.groups() for match in found]


def matches(condition: tuple[str, str, str], line: dict) -> bool:
    field, operator, operand = condition
    if field not in line:
        return False
    if operator == ">":
        return isinstance(line[field], (int, float)) and line[field] > float(operand)
    return fnmatchcase(str(line[field]), operand.strip('"'))
