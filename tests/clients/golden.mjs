// Reads the golden file of a wire format with the clients for which it is, and prints as JSON what each of them made of it.
// node golden.mjs <file of ui> <file of data>

import { readFileSync } from "node:fs";

const NAMES = ["ai5-first", "ai5", "ai6-first", "ai6", "ai7-first", "ai7"];

const turns = (file) =>
  readFileSync(file, "utf8")
    .split(/^=== /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf("\n")), text.slice(text.indexOf("\n") + 1)]);

async function ui({ DefaultChatTransport, readUIMessageStream }, text) {
  const seen = { message: null, error: null };
  const transport = new DefaultChatTransport({ api: "http://chat/", fetch: async () => new Response(text) });
  const stream = await transport.sendMessages({ chatId: "c", messages: [], trigger: "submit-message" });
  const onError = (error) => (seen.error = error.message);
  for await (const message of readUIMessageStream({ stream, onError })) seen.message = message;
  return seen;
}

async function data({ callChatApi }, text) {
  const seen = { message: null, error: null };
  try {
    await callChatApi({
      api: "http://chat/",
      body: {},
      fetch: async () => new Response(text),
      generateId: () => "made",
      restoreMessagesOnFailure() {},
      onUpdate: ({ message }) => (seen.message = message),
      onFinish: (message, { finishReason }) => (seen.finishReason = finishReason),
    });
  } catch (error) {
    seen.error = error.message;
  }
  return seen;
}

const results = {};
const [uiFile, dataFile] = process.argv.slice(2);
for (const name of NAMES) {
  const client = await import(name);
  results[name] = {};
  for (const [title, text] of turns(uiFile)) results[name][title] = await ui(client, text);
}
const client = await import("@ai-sdk/ui-utils");
results.ai4 = {};
for (const [title, text] of turns(dataFile)) results.ai4[title] = await data(client, text.trimEnd() + "\n");
console.log(JSON.stringify(results));
