"""Stores the facts among the queue's events, each once."""

import os

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.typing import LambdaContext

import facts
from attendance import FACT_TYPES
from livehooks_event import Event

persistence = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"])
config = IdempotencyConfig(
    event_key_jmespath="[source, id]",
    raise_on_no_idempotency_key=True,
    expires_after_seconds=24 * 3600,
)
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def handler(event: dict, context: LambdaContext) -> dict:
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=collect, processor=processor, context=context)


def collect(record: SQSRecord) -> None:
    """What this raises becomes the message's own failure: after five of them it is in the dead-letter queue."""
    event = facts.without_raw(record.body)
    # A newer livehooks may have types that this function does not know, and an event too large for SNS may have no room.
    if event["type"] in FACT_TYPES and "subject" in event:
        Event.model_validate(event)
        put_once(event=event)


# An event's fact is always the same item, so a repeat is harmless if this dies before it is recorded as done.
@idempotent_function(data_keyword_argument="event", persistence_store=persistence, config=config)
def put_once(event: dict) -> None:
    facts.put(event)
