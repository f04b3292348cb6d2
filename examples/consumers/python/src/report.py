"""Answers {"provider": …, "room": …} with the room's attendance."""

from dataclasses import asdict

import facts
from attendance import attendance


def handler(event: dict, context: object) -> list[dict]:
    return [asdict(row) for row in attendance(facts.of_room(event["provider"], event["room"]))]
