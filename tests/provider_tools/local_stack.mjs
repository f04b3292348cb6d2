// Runs `livehooks dev` in memory, and `livehooks send`.

import assert from 'node:assert';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const LIVEHOOKS = process.env.LIVEHOOKS;

export const run = promisify(execFile);

/** A folder that is deleted with the stack: `{ folder, url, keysFile, keys, events(), rejections(), stop() }`. */
export async function startLocalStack() {
  const folder = await mkdtemp(join(tmpdir(), 'livehooks-'));
  const dev = spawn(LIVEHOOKS, ['dev', '--memory', '--port', '0'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const banner = {};
  for await (const line of createInterface({ input: dev.stdout })) {
    const [name, ...rest] = line.trim().split(/\s+/);
    banner[name] ??= rest.join(' ');
    if (name === 'ready') break;
  }
  assert(banner.ready, 'livehooks dev ended before it was ready');
  // Drain the output so that the pipe does not fill.
  dev.stdout.resume();
  const get = async (path) => (await fetch(banner.ready + path)).json();
  return {
    folder,
    url: banner.ready,
    keysFile: banner.keys,
    keys: JSON.parse(await readFile(banner.keys, 'utf8')),
    events: () => get('/api/events?limit=10000'),
    rejections: () => get('/api/rejections'),
    async stop() {
      const ended = once(dev, 'exit');
      dev.kill();
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

/** What `livehooks send PROVIDER all` posts to `path`: `{ headers, body }`, the body as text. */
export async function deliveriesSent(provider, stack) {
  const deliveries = [];
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    deliveries.push({ url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.setHeader('content-type', 'application/json');
    response.end('{"status":"accepted","id":"1"}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const url = `http://127.0.0.1:${server.address().port}`;
    await run(LIVEHOOKS, ['send', provider, 'all', '--url', url, '--keys', stack.keysFile], { cwd: stack.folder });
  } finally {
    server.close();
  }
  return deliveries;
}
