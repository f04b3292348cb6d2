// Mux's command line sends to the local stack, and Mux's library verifies what `livehooks send` signs.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Mux from '@mux/mux-node';
import { deliveriesSent, run, startLocalStack } from './local_stack.mjs';

const ENVIRONMENT = 'test';

let stack;
let api;

before(async () => {
  stack = await startLocalStack();
  // The command line asks Mux's API for the name of the environment and for nothing else.
  api = createServer((request, response) => {
    response.statusCode = request.url === '/system/v1/whoami' ? 200 : 404;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ data: { environment_id: ENVIRONMENT, environment_name: ENVIRONMENT } }));
  }).listen(0, '127.0.0.1');
  await once(api, 'listening');
});

after(async () => {
  api.close();
  await stack.stop();
});

/** Runs `mux webhooks trigger`. It signs with the secret in its home folder. */
async function trigger(type, secret) {
  const folder = join(stack.folder, '.local/share/mux');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `webhook-signing-secret-${ENVIRONMENT}`), secret);
  const env = {
    ...process.env,
    HOME: stack.folder,
    XDG_DATA_HOME: join(stack.folder, '.local/share'),
    MUX_BASE_URL: `http://127.0.0.1:${api.address().port}`,
    MUX_TOKEN_ID: 'id',
    MUX_TOKEN_SECRET: 'secret',
  };
  const arguments_ = ['webhooks', 'trigger', type, '--forward-to', `${stack.url}/webhooks/mux`];
  return run('node_modules/.bin/mux', arguments_, { env, cwd: import.meta.dirname });
}

test('every type that `mux webhooks trigger` knows is accepted and stored', async () => {
  const [secret] = stack.keys.mux.signing_secrets;
  const unknown = await trigger('nonsense', secret).catch((error) => error.stdout + error.stderr);
  const types = unknown.match(/^ {2}video\.\S+$/gm).map((line) => line.trim());
  assert(types.length >= 43, `only ${types}`);
  for (const type of types) await trigger(type, secret);

  assert.deepEqual(await stack.rejections(), []);
  const events = await stack.events();
  assert.deepEqual(events.map((event) => event.data.raw.type).sort(), types.sort());
});

test('a webhook that another secret signs is rejected', async () => {
  const before = await stack.events();
  await trigger('video.asset.ready', 'another secret').catch(() => {});
  assert.deepEqual((await stack.rejections()).map((rejection) => rejection.reason), ['signature_mismatch']);
  assert.equal((await stack.events()).length, before.length);
});

test('@mux/mux-node verifies what `livehooks send mux` signs', async () => {
  const mux = new Mux({ tokenId: 'id', tokenSecret: 'secret' });
  const [secret] = stack.keys.mux.signing_secrets;
  const deliveries = await deliveriesSent('mux', stack);
  assert(deliveries.length > 0);
  for (const { headers, body } of deliveries) {
    const event = await mux.webhooks.unwrap(body, headers, secret);
    assert.equal(event.type, JSON.parse(body).type);
    await assert.rejects(mux.webhooks.unwrap(body + ' ', headers, secret));
  }
});
