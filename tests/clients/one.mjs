// One question of the AI SDK 7 in a session that other clients use too. node one.mjs <address of the server> <session> <text>

import { DefaultChatTransport, readUIMessageStream } from "ai7";

const [server, session, text] = process.argv.slice(2);
const transport = new DefaultChatTransport({ api: `${server}/api/chat` });
const stream = await transport.sendMessages({
  trigger: "submit-message",
  chatId: session,
  messages: [{ id: "u-ai-sdk", role: "user", parts: [{ type: "text", text }] }],
});
let last;
for await (const message of readUIMessageStream({ stream })) last = message;
console.log(JSON.stringify(last));
