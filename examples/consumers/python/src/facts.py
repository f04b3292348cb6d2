"""The table of facts: the events of each room, without the provider's own JSON."""

import json
import os
from datetime import datetime

import boto3
from boto3.dynamodb.conditions import Key

from livehooks_event import Event

table = boto3.resource("dynamodb").Table(os.environ["FACTS_TABLE"])
RETENTION_S = int(os.environ["RETENTION_DAYS"]) * 86_400


def without_raw(text: str) -> dict:
    event = json.loads(text)
    event["data"].pop("raw", None)
    event["data"].pop("raw_base64", None)
    return event


def put(event: dict) -> None:
    recorded = datetime.fromisoformat(event["recordedtime"])
    table.put_item(Item={
        "room": f"{event['provider']}#{event['subject']}",
        "event": f"{event['source']} {event['id']}",
        "json": json.dumps(event),
        "expires_at": int(recorded.timestamp()) + RETENTION_S,
    })


def of_room(provider: str, room: str) -> list[Event]:
    query = {"KeyConditionExpression": Key("room").eq(f"{provider}#{room}"), "ConsistentRead": True}
    events = []
    while True:
        page = table.query(**query)
        events += [Event.model_validate_json(item["json"]) for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return events
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
