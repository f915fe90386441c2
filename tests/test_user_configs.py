"""Users' choices of a model: what is stored, shown, refused, and what a turn gets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from models.database import Database
from models.migrations import upgrade
from models.schemas_config import ConfigBody
from services.config_service import Choice, ConfigService, masked
from utils.background import Background
from utils.errors import InvalidField, UrlNotAllowed
from utils.settings import Settings

KEY = "sk-user-0123456789-abcd"
URL = "http://127.0.0.1:9/v1"
OTHER_URL = "http://127.0.0.1:10/v1"
PRESET_URL = "http://10.0.0.5/v1/"
PRESETS = (
    {
        "type": "codegeex",
        "title": "CodeGeeX 4",
        "url": "http://10.0.0.5/v1/",
        "model": "codegeex4-all-9b",
        "key": "sk-preset",
    },
    {"type": "glm4", "title": "GLM-4 智谱", "url": "http://ops:geheim@10.0.0.6/v1", "model": "glm4_32B_chat"},
    {"type": "off", "title": "Off", "url": "", "model": "x"},
)


@pytest.fixture(scope="module")
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/chat.db"
    upgrade(url)
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def configs(tmp_path: Path, database: Database, background: Background) -> ConfigService:
    return service(tmp_path, database, background)


def service(folder: Path, database: Database, background: Background, **values: Any) -> ConfigService:
    options = {
        "LLM_API_URL": "http://server/v1",
        "LLM_API_KEY": "sk-server-0123456789",
        "LLM_MODEL": "qwen-max",
        "MODEL_PRESETS": PRESETS,
        "WEB_ALLOWED_HOSTS": ("127.0.0.1",),
        **values,
    }
    return ConfigService(Settings(_env_file=None, DATA_DIR=folder, **options), database, background)


def change(configs: ConfigService, user_id: str = "用户", **fields: Any) -> dict[str, Any]:
    return configs.update("local", user_id, ConfigBody(user_id=user_id, **fields))


def key_of(configs: ConfigService, user_id: str = "用户") -> str:
    """The key that the user's next turn sends."""
    endpoint = configs.choice("local", user_id).endpoint
    assert endpoint is not None
    return endpoint.api_key.get_secret_value()


def test_who_has_chosen_nothing_gets_the_server_s_own_model(configs: ConfigService) -> None:
    assert configs.get("local", "谁") == {
        "llm_api_url": "http://server/v1",
        "llm_model": "qwen-max",
        "llm_api_key": "…",
        "preset_models": [
            {"type": "default", "title": "默认 · Default", "model": "qwen-max"},
            {"type": "codegeex", "title": "CodeGeeX 4", "model": "codegeex4-all-9b"},
            {"type": "glm4", "title": "GLM-4 智谱", "model": "glm4_32B_chat"},
        ],
        "current_model_type": "default",
        "max_tokens": None,
        "custom_api_url": "",
        "custom_model": "",
        "custom_api_key": "",
    }
    assert configs.choice("local", "谁") == Choice(None, None, None)


def test_a_preset_brings_its_url_key_and_model_and_is_not_guarded(configs: ConfigService) -> None:
    shown = change(configs, model_type="codegeex", max_tokens=2000)
    assert (shown["current_model_type"], shown["max_tokens"]) == ("codegeex", 2000)
    assert (shown["llm_api_url"], shown["llm_model"], shown["llm_api_key"]) == (
        "http://10.0.0.5/v1/",
        "codegeex4-all-9b",
        "…",
    )
    endpoint, model, max_tokens = configs.choice("local", "用户")
    assert endpoint is not None and not endpoint.public_only
    assert (endpoint.base_url, endpoint.api_key.get_secret_value()) == (PRESET_URL, "sk-preset")
    assert (model, max_tokens) == ("codegeex4-all-9b", 2000)


def test_the_password_in_an_operator_s_url_is_not_shown(configs: ConfigService) -> None:
    shown = change(configs, model_type="glm4")
    assert shown["llm_api_url"] == "http://10.0.0.6/v1" and shown["llm_api_key"] == ""


def test_a_custom_model_brings_the_user_s_own_url_and_key_and_is_guarded(configs: ConfigService) -> None:
    shown = change(configs, model_type="custom", custom_api_url=URL, custom_model="我的模型", custom_api_key=KEY)
    assert (shown["llm_api_url"], shown["llm_model"], shown["llm_api_key"]) == (URL, "我的模型", "sk-…abcd")
    assert (shown["custom_api_url"], shown["custom_model"], shown["custom_api_key"]) == (URL, "我的模型", "sk-…abcd")
    endpoint, model, _ = configs.choice("local", "用户")
    assert endpoint is not None and endpoint.public_only
    assert (endpoint.base_url, endpoint.api_key.get_secret_value(), model) == (URL, KEY, "我的模型")


def test_users_and_owners_do_not_see_each_other_s(configs: ConfigService) -> None:
    change(configs, "甲", model_type="custom", custom_api_url=URL, custom_api_key=KEY)
    assert configs.get("local", "乙")["current_model_type"] == "default"
    assert configs.get("somebody", "甲")["custom_api_key"] == ""


def test_a_partial_update_leaves_the_rest(configs: ConfigService) -> None:
    change(configs, model_type="custom", custom_api_url=URL, custom_model="m", custom_api_key=KEY, max_tokens=9)
    for fields in ({}, {"max_tokens": 10}, {"custom_model": None, "custom_api_url": None, "model_type": None}):
        change(configs, **fields)
    assert configs.choice("local", "用户")[1:] == ("m", 10) and key_of(configs) == KEY


def test_an_empty_text_clears_and_null_clears_the_tokens(configs: ConfigService) -> None:
    change(configs, custom_api_url=URL, custom_model="m", custom_api_key=KEY, max_tokens=9, model_type="glm4")
    shown = change(configs, custom_model="", custom_api_key="", max_tokens=None, model_type="")
    assert (shown["custom_api_url"], shown["custom_model"], shown["custom_api_key"]) == (URL, "", "")
    assert (shown["max_tokens"], shown["current_model_type"]) == (None, "default")
    assert change(configs, custom_api_url="")["custom_api_url"] == ""


@pytest.mark.parametrize("sent", ["sk-…abcd", "…", "abc…9999", None])
def test_a_masked_key_that_comes_back_changes_nothing(configs: ConfigService, sent: str | None) -> None:
    change(configs, model_type="custom", custom_api_url=URL, custom_api_key=KEY)
    assert change(configs, custom_api_url=URL, custom_api_key=sent)["custom_api_key"] == "sk-…abcd"
    assert key_of(configs) == KEY


@pytest.mark.parametrize("sent", [{}, {"custom_api_key": "sk-…abcd"}, {"custom_api_key": ""}])
def test_another_url_never_gets_the_key_of_the_old_one(configs: ConfigService, sent: dict[str, str]) -> None:
    change(configs, model_type="custom", custom_api_url=URL, custom_api_key=KEY)
    assert change(configs, custom_api_url=OTHER_URL, **sent)["custom_api_key"] == ""
    assert key_of(configs) == ""
    change(configs, custom_api_url=URL)
    assert key_of(configs) == ""  # it is gone, not hidden


def test_another_url_may_come_with_its_own_key(configs: ConfigService) -> None:
    change(configs, model_type="custom", custom_api_url=URL, custom_api_key=KEY)
    change(configs, custom_api_url=OTHER_URL, custom_api_key="sk-other-0123456789")
    assert key_of(configs) == "sk-other-0123456789"


def test_a_row_that_was_changed_behind_our_back_sends_no_key(configs: ConfigService, database: Database) -> None:
    change(configs, model_type="custom", custom_api_url=URL, custom_api_key=KEY)
    with database.write() as connection:
        connection.execute(text("UPDATE user_configs SET custom_api_url = 'http://evil.example/v1'"))
    assert key_of(configs) == ""


@pytest.mark.parametrize("name", ["gpt", "off", "CUSTOM", "codegeex "[::-1]])
def test_a_type_that_is_not_offered_is_refused(configs: ConfigService, name: str) -> None:
    with pytest.raises(InvalidField) as caught:
        change(configs, model_type=name, max_tokens=5)
    assert caught.value.faults("en") == [
        {"field": "model_type", "message": "must be one of default, codegeex, glm4, custom"}
    ]
    assert configs.get("local", "用户")["max_tokens"] is None


def test_custom_needs_a_url_now_and_later(configs: ConfigService) -> None:
    with pytest.raises(InvalidField) as caught:
        change(configs, model_type="custom", max_tokens=5)
    assert caught.value.errors[0]["field"] == "custom_api_url"
    change(configs, model_type="custom", custom_api_url=URL)
    with pytest.raises(InvalidField):
        change(configs, custom_api_url="")
    shown = configs.get("local", "用户")
    assert (shown["custom_api_url"], shown["max_tokens"]) == (URL, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/v1",
        "http://localhost:1/v1",
        "http://169.254.169.254/",
        "ftp://a.example",
        "nonsense",
        "http://[::1]/v1",
    ],
)
def test_a_url_that_the_guard_refuses_is_not_stored(configs: ConfigService, url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        change(configs, custom_api_url=url, custom_api_key=KEY)
    assert configs.get("local", "用户")["custom_api_url"] == configs.get("local", "用户")["custom_api_key"] == ""


@pytest.mark.parametrize("url", [f"{URL}?key=1", f"{URL}/{'中' * 500}"])
def test_a_url_that_cannot_be_a_base_is_refused(configs: ConfigService, url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        change(configs, custom_api_url=url)
    assert caught.value.errors[0]["field"] == "custom_api_url"


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 0},
        {"max_tokens": "many"},
        {"custom_api_key": "钥匙-0123456789"},
        {"custom_api_key": f"{KEY}\r\nX-Injected: 1"},
        {"custom_api_key": "k" * 501},
        {"user_id": ""},
        {"user_id": "a" * 129},
        {"user_id": "a\nb"},
    ],
)
def test_what_cannot_be_stored_or_sent_is_refused_without_being_repeated(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ConfigBody(**{"user_id": "用户", **fields})
    faults = caught.value.errors(include_input=False, include_context=False)
    assert [fault["loc"] for fault in faults] == [tuple(fields)] and KEY not in str(faults)


def test_a_preset_that_is_no_longer_offered_gives_way_to_the_server_s_model(
    tmp_path: Path, database: Database, background: Background
) -> None:
    change(service(tmp_path, database, background), model_type="glm4", max_tokens=7)
    without = service(tmp_path, database, background, MODEL_PRESETS=())
    assert without.get("local", "用户")["current_model_type"] == "default"
    assert without.choice("local", "用户") == Choice(None, None, 7)


def test_a_new_secret_makes_stored_keys_absent_and_the_rest_goes_on(
    tmp_path: Path, database: Database, background: Background
) -> None:
    before = service(tmp_path, database, background, SECRET_KEY="0123456789abcdef")
    change(before, model_type="custom", custom_api_url=URL, custom_api_key=KEY)
    after = service(tmp_path, database, background, SECRET_KEY="fedcba9876543210")
    assert after.get("local", "用户")["custom_api_key"] == "" and key_of(after) == ""
    change(after, custom_api_key="sk-again-0123456789")
    assert key_of(after) == "sk-again-0123456789" and key_of(before) == ""


def test_the_key_lies_nowhere_in_plain(configs: ConfigService, tmp_path: Path) -> None:
    change(configs, model_type="custom", custom_api_url=URL, custom_api_key=KEY)
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert any(b"custom_api_url" in data for data in files)  # the database is among them
    assert not any(KEY.encode() in data for data in files)


@pytest.mark.parametrize(
    ("key", "shown"),
    [("", ""), ("k", "…"), ("sk-12345678", "…"), ("sk-123456789", "sk-…6789"), (KEY, "sk-…abcd"), ("a" * 500, "aaa…aaaa")],
)
def test_a_key_is_shown_masked(key: str, shown: str) -> None:
    assert masked(key) == shown
