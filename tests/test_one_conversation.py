"""One conversation, whichever protocol is used; and the pages' own client, unchanged."""

import json
import uuid
from typing import Any

import openai
from websockets.sync.client import connect

from fakes.replies import Reply, status
from fakes.upstream import Answer, Request, Upstream
from fixtures.clients import RunClient
from fixtures.server import Server


def test_a_conversation_goes_on_over_every_protocol(server: Server, scripted: Upstream, run_client: RunClient) -> None:
    session = f"one:{uuid.uuid4()}"
    server.chat("原生的第一问", session)
    sdk = openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0)
    answered = sdk.chat.completions.create(
        model="agent",
        messages=[{"role": "user", "content": "OpenAI 的第二问"}],
        extra_body={"session_id": session},
    )
    assert answered.choices[0].message.content == "回声: OpenAI 的第二问"
    with connect(f"{server.url.replace('http', 'ws')}/ws/chat/{session}") as client:
        client.send(json.dumps({"message": "WebSocket 的第三问"}))
        while json.loads(client.recv(timeout=20))["type"] != "end":
            pass
    message = run_client("one.mjs", server.url, session, "AI SDK 的第四问")
    assert [part["text"] for part in message["parts"] if part["type"] == "text"] == ["回声: AI SDK 的第四问"]
    chat = {"session_id": session, "message": "最后一问"}
    assert server.api.post(f"{server.url}/chat", json=chat).json()["assistant_reply"] == "回声: 最后一问"

    questions = ["原生的第一问", "OpenAI 的第二问", "WebSocket 的第三问", "AI SDK 的第四问", "最后一问"]
    transcript = [
        (role, prefix + question) for question in questions for role, prefix in (("user", ""), ("assistant", "回声: "))
    ]
    history = server.api.get(f"{server.url}/conversations/{session}/history").json()
    assert history["session_id"] == session
    assert [(message["role"], message["content"]) for message in history["messages"]] == transcript
    assert {message["status"] for message in history["messages"]} == {"complete"}
    told = [(message["role"], message["content"]) for message in scripted.requests[-1].messages[1:]]
    assert told == transcript[:-1]
    (row,) = server.api.get(f"{server.url}/conversations", params={"q": "WebSocket 的第三问"}).json()["conversations"]
    assert (row["session_id"], row["title"], row["message_count"]) == (session, "原生的第一问", 10)


def test_the_pages_own_client_works_unchanged(server: Server, scripted: Upstream, run_client: RunClient) -> None:
    def model(request: Request) -> Answer | None:
        return Reply((status(500),)) if request.question == "坏了" else None

    scripted.on(model)
    told: dict[str, Any] = run_client("eventsource.mjs", server.url, f"page:{uuid.uuid4()}")
    for name, question in (("first", "请给我讲个故事"), ("second", "再讲一个")):
        assert told[name]["started"] and "error" not in told[name]
        assert told[name]["end"] == told[name]["fullText"] == "".join(told[name]["chunks"]) == f"回声: {question}"
    assert told["refused"]["thrown"] and not told["refused"]["chunks"]
    assert told["failed"]["error"] and not told["failed"]["chunks"]
    assert [event["type"] for event in told["two"]["events"]] == ["start", "chunk", "end"]
    last = scripted.requests[1]
    assert [message["content"] for message in last.messages[1:]] == ["请给我讲个故事", "回声: 请给我讲个故事", "再讲一个"]
