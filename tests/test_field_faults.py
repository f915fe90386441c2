"""What is wrong with a field is said in the client's language, at every address."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fixtures.server import Server
from models.schemas import NotBlank, Upload
from models.schemas_conversations import FilledLine
from utils.errors import ChatError, DocumentUnreadable, InvalidField, TooLarge
from utils.field_faults import CHINESE, described

ZH = {"Accept-Language": "zh-CN,zh;q=0.9"}


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


def fault_of(kind: Any, value: Any) -> dict[str, Any]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return described(caught.value.errors(include_url=False)[0])


WRONG: list[tuple[Any, Any, str, str]] = [
    (Closed, {}, "Field required", "缺少该字段"),
    (Closed, {"name": "甲", "nick": "乙"}, "Extra inputs are not permitted", "不支持该字段"),
    (Closed, 5, "Input should be a valid dictionary or instance of Closed", "须为 JSON 对象"),
    (FilledLine, "长" * 500, "String should have at most 200 characters", "最多 200 个字符"),
    (FilledLine, " \n ", "must not be blank", "不能为空白"),
    (NotBlank, "  ", "must not be blank", "不能为空白"),
    (Upload, "文字", "must be a file", "须为文件"),
    (Annotated[str, Field(max_length=1)], "两字", "String should have at most 1 character", "最多 1 个字符"),
    (Annotated[str, Field(min_length=3)], "两字", "String should have at least 3 characters", "至少需要 3 个字符"),
    (Annotated[str, Field(pattern="^a$")], "b", "String should match pattern '^a$'", "格式不正确，须匹配 ^a$"),
    (str, 5, "Input should be a valid string", "须为字符串"),
    (
        Annotated[list[int], Field(max_length=1)],
        [1, 2],
        "List should have at most 1 item after validation, not 2",
        "最多 1 项",
    ),
    (int, "五", "Input should be a valid integer, unable to parse string as an integer", "须为整数"),
    (Annotated[int, Field(ge=1)], 0, "Input should be greater than or equal to 1", "须大于或等于 1"),
    (Annotated[int, Field(le=50)], 51, "Input should be less than or equal to 50", "须小于或等于 50"),
    (float, "x", "Input should be a valid number, unable to parse string as a number", "须为数字"),
    (bool, "x", "Input should be a valid boolean, unable to interpret input", "须为 true 或 false"),
    (Literal["wav", "pcm", "ogg"], "mp3", "Input should be 'wav', 'pcm' or 'ogg'", "只能是 'wav'、'pcm'、'ogg'"),
]


@pytest.mark.parametrize(("kind", "value", "en", "zh"), WRONG, ids=[zh for *_, zh in WRONG])
def test_a_fault_is_told_in_both_languages(kind: Any, value: Any, en: str, zh: str) -> None:
    error = InvalidField(errors=[fault_of(kind, value)])
    assert [fault["message"] for fault in error.faults("en")] == [en]
    assert [fault["message"] for fault in error.faults("zh")] == [zh]


def test_a_kind_that_is_not_known_stays_as_pydantic_says_it() -> None:
    fault = fault_of(frozenset[int], 5)
    assert InvalidField(errors=[fault]).faults("zh") == [{"field": "body", "message": "Input should be a valid frozenset"}]
    assert "frozen_set_type" not in CHINESE


def test_faults_and_file_names_go_to_another_process_with_their_error() -> None:
    error = ChatError.of(InvalidField.at("cursor", "is wrong", "有误").as_dict())
    assert error.faults("zh") == [{"field": "cursor", "message": "有误"}]
    unreadable = ChatError.of(DocumentUnreadable("empty").of_file("空.md").as_dict())
    assert unreadable.message("zh") == "空.md：无法读取该文档：文件中没有文字。"
    assert TooLarge(limit=5).of_file("a.pdf").message("en") == "a.pdf: Larger than the 5 bytes that are allowed."


ASKED: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("POST", "/api/v1/knowledge_bases", {"json": {"name": "长" * 500}}, "name", "最多 200 个字符"),
    ("POST", "/api/v1/chat", {"json": {"message": " "}}, "message", "不能为空白"),
    ("POST", "/api/v1/chat", {"json": {"message": "长" * 40_000}}, "message", "超过模型的上下文窗口"),
    ("POST", "/api/v1/documents", {"data": {"session_id": "s"}}, "file", "缺少该字段"),
    ("GET", "/conversations", {"params": {"cursor": "x"}}, "cursor", "不是本服务给出的游标"),
    ("GET", "/conversations", {"params": {"limit": "900"}}, "limit", "须小于或等于 200"),
    (
        "POST",
        "/api/chat",
        {"json": {"messages": [{"role": "assistant", "content": "x"}]}},
        "messages",
        "最后一条须为用户的消息",
    ),
]


@pytest.mark.parametrize(("method", "path", "request_of", "field", "message"), ASKED, ids=[wrong[-1] for wrong in ASKED])
def test_a_chinese_client_is_told_in_chinese(
    server: Server, method: str, path: str, request_of: dict[str, Any], field: str, message: str
) -> None:
    response = server.api.request(method, f"{server.url}{path}", headers=ZH, **request_of)
    assert response.status_code == 422, response.text
    assert {"field": field, "message": message} in response.json()["errors"]


def test_openais_clients_are_told_in_chinese_too(server: Server) -> None:
    asked = {"model": "agent", "messages": [{"role": "user", "content": "你好"}], "temperature": 3}
    error = server.api.post(f"{server.url}/v1/chat/completions", json=asked, headers=ZH).json()["error"]
    assert error["message"] == "请求中的某个字段无效。temperature：须小于或等于 2"
