// Lets the pages' own client talk to the server from Node, and prints what its callbacks were told as JSON.
// node eventsource.mjs <address of the server> <prefix of session ids>

import { EventSource } from "eventsource";
import { ChatClient } from "./chat-client.mjs";

const [server, prefix] = process.argv.slice(2);
const plainFetch = globalThis.fetch;
const open = new Set();

// a page's addresses are relative to it
globalThis.fetch = (path, init) => plainFetch(new URL(path, server), init);
globalThis.EventSource = class extends EventSource {
  constructor(path) {
    super(new URL(path, server));
    open.add(this);
  }
};

async function ask(session, message) {
  const told = { chunks: [] };
  const { promise, resolve } = Promise.withResolvers();
  const chat = new ChatClient(`${prefix}-${session}`).streamChat(message, {
    onStart: () => (told.started = true),
    onChunk: (chunk, fullText) => {
      told.chunks.push(chunk);
      told.fullText = fullText;
    },
    onEnd: (text) => resolve((told.end = text)),
    onError: (error) => resolve((told.error = error.message ?? String(error))),
  });
  await chat.catch((error) => resolve((told.thrown = error.message)));
  await promise;
  return told;
}

// an EventSource that the server leaves comes back by itself, and knows what it has seen
async function reconnected(session, message) {
  const source = new globalThis.EventSource(`/api/v1/chat/${prefix}-${session}/stream`);
  const events = [];
  const { promise, resolve } = Promise.withResolvers();
  source.onmessage = (event) => {
    events.push(JSON.parse(event.data));
    if (events.at(-1).type === "end") resolve();
  };
  await ask(session, message);
  await promise;
  return { events };
}

console.log(
  JSON.stringify({
    first: await ask("talk", "请给我讲个故事"),
    second: await ask("talk", "再讲一个"),
    refused: await ask("refused", ""),
    failed: await ask("failed", "坏了"),
    two: await reconnected("two", "两个读者"),
  }),
);
for (const source of open) source.close();
