// Plays scenes of a chat with the AI SDK 4, as its useChat does but without a page, and prints what is seen as JSON.
// node data.mjs <address of the server>

import { callChatApi, fillMessageParts, generateId } from "@ai-sdk/ui-utils";

const [server] = process.argv.slice(2);

class Chat {
  messages = [];
  toolCalls = [];
  #watchers = new Set();

  // useChat leaves out the ids of messages unless sendExtraMessageFields is set
  constructor(scene, { sendExtraMessageFields = false, body = {} } = {}) {
    Object.assign(this, { id: `ai4-${scene}`, sendExtraMessageFields, body });
  }

  append(content, experimental_attachments) {
    const message = { id: generateId(), role: "user", content, ...(experimental_attachments && { experimental_attachments }) };
    return this.#request([...this.messages, message]);
  }
  reload() {
    return this.#request(this.last.role === "assistant" ? this.messages.slice(0, -1) : this.messages);
  }
  resume() {
    return this.#request(this.messages, "resume");
  }
  stop() {
    this.#controller.abort();
  }
  get last() {
    return this.messages.at(-1);
  }

  // waits until the newest message says it
  async says(text) {
    const { promise, resolve } = Promise.withResolvers();
    const look = () => this.last?.content.includes(text) && resolve();
    this.#watchers.add(look);
    look();
    await promise;
    this.#watchers.delete(look);
  }

  seen() {
    const { messages, toolCalls, error, finish } = this;
    return { messages, toolCalls, error, finish };
  }

  #controller;

  async #request(messages, requestType = "generate") {
    messages = fillMessageParts(messages);
    this.messages = messages;
    this.error = undefined;
    this.#controller = new AbortController();
    const sent = ({ role, content, experimental_attachments, toolInvocations, parts }) => ({
      role,
      content,
      ...(experimental_attachments && { experimental_attachments }),
      ...(toolInvocations && { toolInvocations }),
      ...(parts && { parts }),
    });
    try {
      await callChatApi({
        api: `${server}/api/chat`,
        body: { id: this.id, messages: this.sendExtraMessageFields ? messages : messages.map(sent), ...this.body },
        abortController: () => this.#controller,
        restoreMessagesOnFailure() {},
        onUpdate: ({ message, replaceLastMessage }) => {
          this.messages = [...(replaceLastMessage ? messages.slice(0, -1) : messages), message];
          for (const watcher of this.#watchers) watcher();
        },
        onFinish: (_, finish) => (this.finish = finish),
        onToolCall: ({ toolCall }) => void this.toolCalls.push(toolCall.toolName),
        generateId,
        lastMessage: messages.at(-1),
        requestType,
      });
    } catch (error) {
      if (error.name !== "AbortError") this.error = error.message;
    }
  }
}

const post = async (path, body) =>
  (
    await fetch(server + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
  ).json();

async function asked(scene, ...texts) {
  const chat = new Chat(scene);
  for (const text of texts) await chat.append(text);
  return chat.seen();
}

const scenes = {
  text: () => asked("text", "你好，世界", "还记得吗"),
  thoughts: () => asked("thoughts", "想一想"),
  tools: () => asked("tools", "查手册"), // a document is there already
  "early failure": () => asked("early-failure", "坏了"),
  "late failure": () => asked("late-failure", "断了"),

  async abort() {
    const chat = new Chat("abort");
    const sent = chat.append("慢慢说");
    await chat.says("第一段。");
    chat.stop();
    await sent;
    return { ...chat.seen(), stop: await post(`/api/chat/${chat.id}/stop`) };
  },

  async resumption() {
    const chat = new Chat("resumption");
    const sent = chat.append("慢慢说");
    await chat.says("第一段。");
    chat.stop(); // the page is closed, and opened again
    await sent;
    const reopened = new Chat("resumption");
    reopened.messages = chat.messages.slice(0, 1);
    const resumed = reopened.resume();
    await reopened.says("第一段。");
    await post("/api/v1/chat", { message: "放行" });
    await resumed;
    return { before: chat.seen(), after: reopened.seen() };
  },

  async regeneration() {
    const chat = new Chat("regeneration");
    await chat.append("你好");
    await chat.append("掷骰子");
    const first = chat.last;
    await chat.reload();
    return { first, ...chat.seen() };
  },

  async "regeneration with ids"() {
    const chat = new Chat("regeneration-ids", { sendExtraMessageFields: true });
    await chat.append("掷骰子");
    await chat.reload();
    return chat.seen();
  },

  async files() {
    const chat = new Chat("files");
    await chat.append("看看这些", [
      { name: "图.png", contentType: "image/png", url: process.env.PICTURE },
      { name: "手册.txt", contentType: "text/plain", url: process.env.DOCUMENT },
    ]);
    return chat.seen();
  },
};

const results = {};
for (const [scene, play] of Object.entries(scenes)) results[scene] = await play();
console.log(JSON.stringify(results));
