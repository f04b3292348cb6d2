import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from attendance import attendance
from livehooks_event import Event

SHARED = json.loads((Path(__file__).parents[2] / "cases.json").read_text())
CASES = {case["name"]: case for case in SHARED["cases"]}


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_in_any_order_and_with_duplicates(name, data):
    case = CASES[name]
    events = [Event.model_validate({**SHARED["defaults"], "recordedtime": event["time"], **event}) for event in case["events"]]
    meeting = data.draw(st.permutations(events)) + data.draw(st.lists(st.sampled_from(events)))
    assert [asdict(row) for row in attendance(meeting)] == case["attendance"]
