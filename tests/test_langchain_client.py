"""LangChain's clients of OpenAI's API, pointed at the product."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from fakes.replies import text, tool_call
from fakes.upstream import Upstream
from fixtures.server import Server
from models.embeddings import BUNDLED


@tool
def get_weather(city: str) -> str:
    """查询天气"""
    return f"{city}：晴"


def chat(server: Server, model: str = "scripted", **options) -> ChatOpenAI:
    return ChatOpenAI(
        model=model, base_url=f"{server.url}/v1", api_key=SecretStr("none"), max_retries=0, timeout=30, **options
    )


def test_invoke_and_usage(server: Server, scripted: Upstream) -> None:
    scripted.reply("十天。", usage=(21, 8))
    message = chat(server).invoke("年假有几天？")
    assert message.content == "十天。"
    assert message.usage_metadata is not None and message.usage_metadata["total_tokens"] == 29
    assert message.response_metadata["finish_reason"] == "stop"


def test_stream_and_usage(server: Server, scripted: Upstream) -> None:
    scripted.reply(text(["十", "天"]), usage=(21, 8), interval=0.02)
    first, *rest = chat(server, stream_usage=True).stream("年假有几天？")
    whole = first.__add__(rest)
    assert whole.content == "十天" and len(rest) > 1
    assert whole.usage_metadata is not None and whole.usage_metadata["total_tokens"] == 29


def test_a_tool_goes_round(server: Server, scripted: Upstream) -> None:
    model = chat(server).bind_tools([get_weather], tool_choice="required")
    scripted.reply(tool_call("get_weather", {"city": "北京"}))
    question = HumanMessage("北京天气？")
    answer = model.invoke([question])
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "北京"})
    assert scripted.requests[0].body["tool_choice"] == "required"
    scripted.reply("北京晴。")
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert model.invoke([question, answer, result]).content == "北京晴。"
    assert scripted.requests[1].messages[-1]["content"] == "北京：晴"


def test_tool_calls_stream(server: Server, scripted: Upstream) -> None:
    scripted.reply(tool_call("get_weather", {"city": "上海"}), interval=0.01)
    first, *rest = chat(server).bind_tools([get_weather]).stream("上海天气？")
    assert first.__add__(rest).tool_calls[0]["args"] == {"city": "上海"}


def test_structured_output(server: Server, scripted: Upstream) -> None:
    class Title(BaseModel):
        title: str

    scripted.reply('{"title": "年假"}')
    assert chat(server).with_structured_output(Title, method="json_schema").invoke("起个标题") == Title(title="年假")
    assert scripted.requests[0].body["response_format"]["type"] == "json_schema"


def test_the_agent(server: Server, scripted: Upstream) -> None:
    scripted.reply(tool_call("current_time", {}))
    scripted.reply("三点。")
    assert "".join(chunk.text for chunk in chat(server, "agent").stream("几点了？")) == "三点。"


def test_embeddings(server: Server) -> None:
    client = OpenAIEmbeddings(
        model=BUNDLED, base_url=f"{server.url}/v1", api_key=SecretStr("none"), check_embedding_ctx_length=False
    )
    assert [len(vector) for vector in client.embed_documents(["年假", "火箭"])] == [512, 512]
    assert client.embed_query("年假") == client.embed_documents(["年假"])[0]
