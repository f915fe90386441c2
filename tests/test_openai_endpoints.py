"""Models, embeddings and speech of OpenAI's API, by the OpenAI SDK."""

import base64
import io
import struct
import wave

import httpx
import openai
import pytest
from openai import OpenAI

from fixtures.openai_clients import Rich, ask
from fixtures.server import Server
from models.embeddings import BUNDLED


class TestModels:
    def test_lists_what_is_configured(self, rich_client: OpenAI) -> None:
        listed = {model.id: model for model in rich_client.models.list()}
        names = {"agent", "scripted", "Qwen/Qwen3-8B", "glm4", "agent:scripted", "agent:Qwen/Qwen3-8B", "agent:glm4"}
        assert listed.keys() == names | {BUNDLED, "qwen3-tts-flash"}
        assert {model.object for model in listed.values()} == {"model"}
        assert all(type(model.created) is int and model.owned_by for model in listed.values())

    def test_everything_that_is_listed_can_be_asked_for(self, rich_client: OpenAI) -> None:
        for model in rich_client.models.list():
            assert rich_client.models.retrieve(model.id) == model
            if model.id not in (BUNDLED, "qwen3-tts-flash"):
                assert ask(rich_client, model=model.id).choices[0].message.content == "回声: 年假有几天？"

    def test_a_preset_gets_its_own_model_and_key(self, rich_client: OpenAI, rich: Rich) -> None:
        assert ask(rich_client, model="glm4").model == "glm4"
        (request,) = rich.preset.requests
        assert request.body["model"] == "GLM-4-32B" and request.headers["authorization"] == "Bearer sk-preset"

    def test_a_name_may_have_slashes_on_the_wire_too(self, rich: Rich) -> None:
        for name in ("Qwen/Qwen3-8B", "Qwen%2FQwen3-8B"):
            assert httpx.get(f"{rich.server.url}/v1/models/{name}").json()["id"] == "Qwen/Qwen3-8B"

    @pytest.mark.parametrize("name", ["gpt-99", "Qwen/Qwen3-8B", "模型"])
    def test_others_are_not_found(self, client: OpenAI, name: str) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(name)
        assert caught.value.code == "model_not_found" and name in caught.value.message


class TestEmbeddings:
    TEXTS = ("员工每年享有十天年假。", "Employees have ten days of annual leave.", "火箭发动机的推力")

    def test_are_the_same_in_base64_and_as_floats(self, client: OpenAI) -> None:
        in_base64 = client.embeddings.create(model=BUNDLED, input=list(self.TEXTS))  # as the SDK asks by default
        as_floats = client.embeddings.create(model=BUNDLED, input=list(self.TEXTS), encoding_format="float")
        assert [row.index for row in as_floats.data] == [0, 1, 2] and as_floats.model == BUNDLED
        assert as_floats.object == "list" and {row.object for row in as_floats.data} == {"embedding"}
        for one, other in zip(in_base64.data, as_floats.data, strict=True):
            assert one.embedding == pytest.approx(other.embedding, abs=1e-6) and len(one.embedding) == 512
        near, far = (dot(as_floats.data[0].embedding, row.embedding) for row in as_floats.data[1:])
        assert near > far + 0.2
        assert as_floats.usage.total_tokens == as_floats.usage.prompt_tokens > 20

    def test_base64_is_little_endian_floats(self, server: Server) -> None:
        body = {"model": BUNDLED, "input": "年假", "encoding_format": "base64"}
        answer = httpx.post(f"{server.url}/v1/embeddings", json=body).json()
        values = struct.unpack("<512f", base64.b64decode(answer["data"][0]["embedding"]))
        assert dot(values, values) == pytest.approx(1, abs=1e-4)

    def test_the_dimensions_that_there_are_may_be_asked_for(self, client: OpenAI) -> None:
        assert len(client.embeddings.create(model=BUNDLED, input="年假", dimensions=512).data[0].embedding) == 512
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model=BUNDLED, input="年假", dimensions=256)
        assert caught.value.param == "dimensions"

    @pytest.mark.parametrize("given", ["", [], [""], [1, 2, 3], [[1, 2]], ["长" * 300_001], ["a"] * 2_049])
    def test_other_input_is_refused(self, client: OpenAI, given) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model=BUNDLED, input=given)
        assert caught.value.param is not None and caught.value.param.startswith("input")

    def test_another_model_is_not_found(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="text-embedding-3-small", input="年假")


class TestSpeech:
    def test_is_wav_where_no_format_is_named(self, rich_client: OpenAI) -> None:
        spoken = rich_client.audio.speech.create(model="qwen3-tts-flash", voice="Cherry", input="你好，世界。")
        assert spoken.response.headers["content-type"] == "audio/wav"
        with wave.open(io.BytesIO(spoken.content)) as file:
            assert file.getframerate() == 24_000 and file.getnframes() > 0

    def test_may_be_bare_samples(self, rich_client: OpenAI) -> None:
        spoken = rich_client.audio.speech.create(
            model="qwen3-tts-flash", voice="Cherry", input="你好。", response_format="pcm", speed=1.0
        )
        assert spoken.response.headers["content-type"].startswith("audio/pcm") and spoken.content[:4] != b"RIFF"

    @pytest.mark.parametrize(
        ("param", "value"),
        [("response_format", "mp3"), ("speed", 1.5), ("instructions", "唱"), ("stream_format", "sse"), ("input", "")],
    )
    def test_what_it_cannot_do_is_refused(self, rich_client: OpenAI, param: str, value) -> None:
        request = {"model": "qwen3-tts-flash", "voice": "Cherry", "input": "你好。", param: value}
        with pytest.raises(openai.BadRequestError) as caught:
            rich_client.audio.speech.create(**request)
        assert caught.value.param == param
        if param == "response_format":
            assert "wav" in caught.value.message and "pcm" in caught.value.message

    def test_a_text_that_is_too_long_is_an_invalid_input(self, rich_client: OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            rich_client.audio.speech.create(model="qwen3-tts-flash", voice="Cherry", input="长" * 5_001)
        assert caught.value.param == "input"

    def test_another_model_is_not_found(self, rich_client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError):
            rich_client.audio.speech.create(model="tts-1", voice="alloy", input="你好。")


def dot(one, other) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
