"""CloudWatch's filter patterns, as far as the template uses them."""

import re
from fnmatch import fnmatchcase

CONDITION = re.compile(r'\(?\s*\$\.(\w+) (=|>) ("[^"]*"|\d+)\s*\)?')


def value_of(pattern: str, value: str, line: dict) -> float:
    """What a line counts for a metric: `value` is a number, or `$.<field>`. 0 if the line does not match."""
    if not any(matches(condition, line) for condition in conditions(pattern)):
        return 0
    return float(line.get(value[2:], 0) if value.startswith("$.") else value)


def conditions(pattern: str) -> list[tuple[str, str, str]]:
    """The field, the operator and the operand of each condition, of which one suffices."""
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
