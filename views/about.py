"""The words of the documentation: what the API is, and its groups."""

from pathlib import Path

from utils.settings import VERSION
from views.description import Tag

INFO = {
    "title": "LLM Chat Backend",
    "summary": "A tool-calling agent over conversations, documents and the web · 自托管的大模型对话后端",
    "description": Path(__file__).with_name("about.md").read_text(encoding="utf-8"),
    "license": {"name": "MIT", "identifier": "MIT"},
    "version": VERSION,
}

CHAT = Tag(
    "Chat",
    "Questions to the agent, as JSON, server-sent events or WebSocket frames. 对话：提问、流式输出、停止、重新生成。",
)
DOCUMENTS = Tag(
    "Documents",
    "Files of a session, read in the background: their progress, text and search. 文档：上传、进度、检索。",
)
KNOWLEDGE_BASES = Tag(
    "Knowledge bases",
    "Collections of documents that any number of sessions search together with their own files. "
    "知识库：多个会话共用的文档集合。",
)
TOOLS = Tag("Speech and tools", "What else the agent offers. 语音合成与工具。")
CONVERSATIONS = Tag(
    "Conversations",
    "What was said: lists, search, histories, branches, exports, deletion; some clients say `sessions` or "
    "`context/conversations`. 会话：列表、搜索、历史、分支、导出、删除。",
)
CONFIGS = Tag(
    "Models of users",
    "Each user's choice of a model, and the simple chat that follows it. 用户的模型配置与简单对话接口。",
)
FRONT_ENDS = Tag(
    "AI SDK front ends",
    "`/api/chat` for the AI SDK 4 to 7 and for plain messages. 供 AI SDK 前端和普通消息格式使用的接口。",
)
OPENAI = Tag("OpenAI", "OpenAI's API, for whatever speaks it: base URL `/v1`. 兼容 OpenAI 的接口。")
OPERATIONS = Tag("Operations", "Health and metrics. 运维：健康检查与指标。")
