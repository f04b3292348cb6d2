/** Stores the facts among the queue's events, each once. */
import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { FACT_TYPES } from './attendance.js';
import { put, readEvent } from './facts.js';

const persistenceStore = new DynamoDBPersistenceLayer({ tableName: process.env.IDEMPOTENCY_TABLE! });
const config = new IdempotencyConfig({
  eventKeyJmesPath: '[source, id]',
  throwOnNoIdempotencyKey: true,
  expiresAfterSeconds: 24 * 3600,
});
const processor = new BatchProcessor(EventType.SQS);
// An event's fact is always the same item, so a repeat is harmless if this dies before it is recorded as done.
const putOnce = makeIdempotent(put, { persistenceStore, config });

export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  config.registerLambdaContext(context);
  // One after the other: a batch may contain a message twice, and the second would find the first in progress.
  const options = { context, processInParallel: false, throwOnFullBatchFailure: false };
  return processPartialResponse(event, collect, processor, options);
}

/** What this throws for becomes the message's own failure: after five of them it is in the dead-letter queue. */
async function collect(record: SQSRecord): Promise<void> {
  const event = readEvent(record.body);
  // A newer livehooks may have types that this function does not know, and an event too large for SNS may have no room.
  if (FACT_TYPES.includes(event.type) && event.subject !== undefined) await putOnce(event);
}
