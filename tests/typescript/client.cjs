// An assistant on the official TypeScript SDK: asks our server everything, and prints as JSON what came of it.
// node client.cjs FOLDER_OF_NODE_MODULES MAJOR_VERSION ERA COMMAND [ARGUMENT...]

const { createRequire } = require("node:module");
const [folder, major, era, command, ...args] = process.argv.slice(2);
const load = createRequire(`${folder}/`);

function open() {
  const [{ Client }, { StdioClientTransport }] =
    major === "1"
      ? [load("@modelcontextprotocol/sdk/client/index.js"), load("@modelcontextprotocol/sdk/client/stdio.js")]
      : [load("@modelcontextprotocol/client"), load("@modelcontextprotocol/client/stdio")];
  const options = { versionNegotiation: { mode: era } }; // the first major version knows the older era alone
  return [new Client({ name: "a-host", version: "1" }, options), new StdioClientTransport({ command, args, env: process.env })];
}

async function outcome(promise) {
  try {
    return await promise;
  } catch (error) {
    return { error: error.message };
  }
}

async function main() {
  const [client, transport] = open();
  const report = { isOpen: true, faults: [], tools: {}, newest: [] };
  client.onclose = () => (report.isOpen = false);
  client.onerror = (error) => report.faults.push(error.message);
  await client.connect(transport);
  const call = async (name, given) => outcome(client.callTool({ name, arguments: given }));
  const read = async (uri) => {
    const { contents, error } = await outcome(client.readResource({ uri }));
    return { uri, error, bytes: contents?.[0].blob && Buffer.from(contents[0].blob, "base64").length };
  };

  const longest = (await call("list_conversations", { order_by: "longest", limit: 1 })).structuredContent;
  const id = longest.conversations[0].conversation_id;
  const given = {
    get_transcripts: { conversation_ids: [id] },
    search_transcripts: { query: "refund" },
    save_recording: { conversation_id: id },
  };
  for (const { name } of (await client.listTools()).tools) {
    report.tools[name] = await call(name, given[name] ?? {});
  }
  const { resources } = await client.listResources();
  for (const { uri } of resources.filter((each) => each.uri.endsWith("/recording")).slice(0, 5)) {
    report.newest.push(await read(uri));
  }
  report.longest = await read(`formant://conversations/${id}/recording`);
  report.ping = await outcome(client.ping());
  report.after = await call("list_conversations", { limit: 1 });
  console.log(JSON.stringify(report));
  await client.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
