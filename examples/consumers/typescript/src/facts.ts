/** The table of facts: the events of each room, without the provider's own JSON. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, PutCommand, paginateQuery } from '@aws-sdk/lib-dynamodb';
import type { Event } from './livehooks-event.js';

const TableName = process.env.FACTS_TABLE!;
const RETENTION_S = Number(process.env.RETENTION_DAYS) * 86_400;
const client = DynamoDBDocumentClient.from(new DynamoDBClient({}));

/** Throws if the text is not an event. Unknown fields stay. */
export function readEvent(json: string): Event {
  const event = JSON.parse(json);
  for (const name of ['source', 'id', 'type', 'provider']) {
    if (typeof event?.[name] !== 'string') throw new Error(`expected an event with the string ${name}`);
  }
  for (const name of ['time', 'recordedtime']) {
    if (Number.isNaN(Date.parse(event[name]))) throw new Error(`expected an event with the time ${name}`);
  }
  return event;
}

export async function put(event: Event): Promise<void> {
  const { raw, raw_base64, ...data } = event.data;
  const Item = {
    room: `${event.provider}#${event.subject}`,
    event: `${event.source} ${event.id}`,
    json: JSON.stringify({ ...event, data }),
    expires_at: Math.floor(Date.parse(event.recordedtime) / 1000) + RETENTION_S,
  };
  await client.send(new PutCommand({ TableName, Item }));
}

export async function ofRoom(provider: string, room: string): Promise<Event[]> {
  const facts = [];
  const pages = paginateQuery({ client }, {
    TableName,
    ConsistentRead: true,
    KeyConditionExpression: 'room = :room',
    ExpressionAttributeValues: { ':room': `${provider}#${room}` },
  });
  for await (const page of pages) facts.push(...(page.Items ?? []));
  return facts.map((fact) => readEvent(fact.json));
}
