"""Calls a consumer's functions: one JSON per line of standard input, {"function": …, "event": …}, one answer per line.

`collect` and `report` are the handlers, `attendance` the pure function. Runs in the consumer's source folder."""

import json
import os
import sys
from dataclasses import asdict

sys.path.insert(0, ".")
import collect  # noqa: E402
import report  # noqa: E402
from attendance import attendance  # noqa: E402
from livehooks_event import Event  # noqa: E402


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return int(os.environ["FEED_REMAINING_MS"])


FUNCTIONS = {
    "collect": lambda event: collect.handler(event, Context()),
    "report": lambda event: report.handler(event, Context()),
    "attendance": lambda events: [asdict(row) for row in attendance(map(Event.model_validate, events))],
}

for line in sys.stdin:
    call = json.loads(line)
    print(json.dumps(FUNCTIONS[call["function"]](call["event"])), flush=True)
