// Validates an AsyncAPI document. Warnings are failures too, hints are not: one of them is that 3.1.0 exists.
const { Parser, fromFile } = require("@asyncapi/parser");

const WARNING = 1;
const file = process.argv[2];

async function main() {
  const { document, diagnostics } = await fromFile(new Parser(), file).parse();
  const failures = diagnostics.filter(({ severity }) => severity <= WARNING);
  for (const { path, message, range } of failures) {
    console.error(`${file}:${range.start.line + 1}: ${path.join(".")}: ${message}`);
  }
  if (!document || failures.length > 0) process.exit(1);
  const [message] = document.messages().all();
  const types = message.payload().property("type");
  if (!types) throw new Error("expected a message with the event as its payload, found none");
  console.log(`${file}: valid, AsyncAPI ${document.version()}`);
}

main();
