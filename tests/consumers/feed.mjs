// As feed.py, for TypeScript. Runs in the consumer's folder, with tsx.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const source = (name) => import(pathToFileURL(`${process.cwd()}/src/${name}.ts`));
const [collect, report, { attendance }] = await Promise.all(['collect', 'report', 'attendance'].map(source));
const context = { getRemainingTimeInMillis: () => Number(process.env.FEED_REMAINING_MS) };
const functions = {
  collect: (event) => collect.handler(event, context),
  report: (event) => report.handler(event, context),
  attendance,
};
for await (const line of createInterface({ input: process.stdin })) {
  const { function: name, event } = JSON.parse(line);
  console.log(JSON.stringify(await functions[name](event)));
}
