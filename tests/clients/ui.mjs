// Plays scenes of a chat with the AI SDK 5, 6 or 7, without a page, and prints what its user would see as JSON.
// node ui.mjs <package> <address of the server>

const [name, server] = process.argv.slice(2);
const { AbstractChat, DefaultChatTransport } = await import(name);

class State {
  status = "ready";
  error = undefined;
  watchers = new Set();
  #messages;

  constructor(messages) {
    this.#messages = messages;
  }
  get messages() {
    return this.#messages;
  }
  set messages(messages) {
    this.#messages = messages;
    this.#changed();
  }
  pushMessage = (message) => {
    this.messages = [...this.#messages, message];
  };
  popMessage = () => {
    this.messages = this.#messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.#messages.with(index, structuredClone(message));
  };
  snapshot = structuredClone;
  #changed() {
    for (const watcher of this.watchers) watcher();
  }
}

class Chat extends AbstractChat {
  toolCalls = [];

  constructor(scene, messages = [], body = {}) {
    const toolCalls = [];
    super({
      id: `${name}-${scene}`,
      state: new State(messages),
      transport: new DefaultChatTransport({ api: `${server}/api/chat`, body }),
      onToolCall: ({ toolCall }) => toolCalls.push(toolCall.toolName),
    });
    this.toolCalls = toolCalls;
  }

  // waits until the newest message says it
  async says(text) {
    const { promise, resolve } = Promise.withResolvers();
    const look = () => said(this.lastMessage).includes(text) && resolve();
    this.state.watchers.add(look);
    look();
    await promise;
    this.state.watchers.delete(look);
  }

  seen() {
    const { messages, status, toolCalls } = this;
    return { messages, status, toolCalls, error: this.error?.message };
  }
}

const said = (message) => (message?.parts ?? []).map((part) => part.text ?? "").join("");

const post = async (path, body) =>
  (
    await fetch(server + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
  ).json();

// lets the answers that hang go on
const release = () => post("/api/v1/chat", { message: "放行" });

async function asked(scene, ...texts) {
  const chat = new Chat(scene);
  for (const text of texts) await chat.sendMessage({ text });
  return chat.seen();
}

const scenes = {
  text: () => asked("text", "你好，世界", "还记得吗"),
  thoughts: () => asked("thoughts", "想一想"),
  tools: () => asked("tools", "查手册"), // a document is there already
  "early failure": () => asked("early-failure", "坏了"),
  "late failure": () => asked("late-failure", "断了", "你好"),

  async abort() {
    const chat = new Chat("abort");
    const sent = chat.sendMessage({ text: "慢慢说" });
    await chat.says("第一段。");
    await chat.stop();
    await sent;
    return { ...chat.seen(), stop: await post(`/api/chat/${chat.id}/stop`) };
  },

  async "stop from elsewhere"() {
    const chat = new Chat("stop");
    const sent = chat.sendMessage({ text: "慢慢说" });
    await chat.says("第一段。");
    const stop = await post(`/api/chat/${chat.id}/stop`);
    await sent;
    return { ...chat.seen(), stop };
  },

  async resumption() {
    const chat = new Chat("resumption");
    const sent = chat.sendMessage({ text: "慢慢说" });
    await chat.says("第一段。");
    await chat.stop(); // the page is closed, and opened again
    await sent;
    const reopened = new Chat("resumption", chat.messages.slice(0, 1));
    const resumed = reopened.resumeStream();
    await reopened.says("第一段。");
    await release();
    await resumed;
    const idle = new Chat("resumption", chat.messages.slice(0, 1));
    await idle.resumeStream();
    return { before: chat.seen(), after: reopened.seen(), idle: idle.seen() };
  },

  async regeneration() {
    const chat = new Chat("regeneration");
    await chat.sendMessage({ text: "掷骰子" });
    const first = chat.lastMessage;
    await chat.regenerate();
    const second = chat.lastMessage;
    await chat.sendMessage({ text: "你好" });
    await chat.regenerate({ messageId: second.id });
    return { first, second, ...chat.seen() };
  },

  async "another try"() {
    const chat = new Chat("another-try");
    await chat.sendMessage({ text: "你好" });
    await chat.sendMessage({ text: "先坏后好" });
    const { error } = chat.seen();
    await chat.regenerate();
    return { failure: error, ...chat.seen() };
  },

  async edit() {
    const chat = new Chat("edit");
    await chat.sendMessage({ text: "一加一" });
    await chat.sendMessage({ text: "你好" });
    await chat.sendMessage({ text: "二加二", messageId: chat.messages[0].id });
    return chat.seen();
  },

  async files() {
    const chat = new Chat("files");
    const files = [
      { type: "file", mediaType: "image/png", filename: "图.png", url: process.env.PICTURE },
      { type: "file", mediaType: "text/plain", filename: "手册.txt", url: process.env.DOCUMENT },
    ];
    await chat.sendMessage({ text: "看看这些", files });
    return chat.seen();
  },
};

const results = {};
for (const [scene, play] of Object.entries(scenes)) results[scene] = await play();
console.log(JSON.stringify(results));
