// The TypeScript SDK, at the major version and in the era that the variables MAJOR and MODE name; MODULES is the folder of packages.
// What it is given and prints: see report.py.

const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const [path, command, ...args] = process.argv.slice(2);
const { MAJOR, MODE, MODULES } = process.env;
const load = createRequire(`${MODULES}/`);

function open() {
  const [{ Client }, { StdioClientTransport }] =
    MAJOR === "1"
      ? [load("@modelcontextprotocol/sdk/client/index.js"), load("@modelcontextprotocol/sdk/client/stdio.js")]
      : [load("@modelcontextprotocol/client"), load("@modelcontextprotocol/client/stdio")];
  const mode = /^\d/.test(MODE) ? { pin: MODE } : MODE; // the first major version has the older era alone
  const client = new Client({ name: "a-host", version: "1" }, { versionNegotiation: { mode } });
  return [client, new StdioClientTransport({ command, args, env: process.env })];
}

function textOf({ text, blob }) {
  return text ?? `sha256 ${createHash("sha256").update(Buffer.from(blob, "base64")).digest("hex")}`;
}

async function main() {
  const { calls, resources, prompts, completion } = JSON.parse(readFileSync(path, "utf8"));
  const [client, transport] = open();
  await client.connect(transport);
  const report = { tools: [], answers: [], resources: {}, prompts: {}, completion: null };
  report.tools = (await client.listTools()).tools.map(({ name }) => name);
  for (const [name, given] of calls) {
    const { content, structuredContent, isError } = await client.callTool({ name, arguments: given });
    report.answers.push({ text: content[0].text, structure: structuredContent ?? null, is_error: Boolean(isError) });
  }
  for (const uri of resources) {
    report.resources[uri] = textOf((await client.readResource({ uri })).contents[0]);
  }
  for (const [name, given] of prompts) {
    report.prompts[name] = (await client.getPrompt({ name, arguments: given })).messages[0].content.text;
  }
  const ref = { type: "ref/resource", uri: completion.template };
  report.completion = (await client.complete({ ref, argument: completion.argument })).completion.values;
  console.log(JSON.stringify(report));
  await client.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
