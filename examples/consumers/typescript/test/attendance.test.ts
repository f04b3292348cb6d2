import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { attendance } from '../src/attendance.js';
import type { Event } from '../src/livehooks-event.js';

const { defaults, cases } = JSON.parse(readFileSync(new URL('../../cases.json', import.meta.url), 'utf8'));
const complete = (event: { time: string }): Event => ({ ...defaults, recordedtime: event.time, ...event });

for (const { name, events, attendance: expected } of cases) {
  test(name, () => {
    const meeting: Event[] = events.map(complete);
    assert.deepEqual(attendance(meeting), expected);
    const anyOrder = fc.tuple(
      fc.shuffledSubarray(meeting, { minLength: meeting.length }),
      fc.subarray(meeting),
    );
    fc.assert(fc.property(anyOrder, ([shuffled, again]) => {
      assert.deepEqual(attendance([...again, ...shuffled]), expected);
    }));
  });
}
