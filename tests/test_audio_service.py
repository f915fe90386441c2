"""Speech, through DashScope's own SDK and a server that speaks as DashScope does."""

import io
import logging
import socket
import threading
import wave
from typing import Any

import pytest

from fakes.dashscope import DashScope, event, failed_event, refusal, stream
from fakes.website import Reply, Request
from services.audio_service import AudioService
from utils.errors import (
    ChatError,
    InvalidField,
    ProviderNotConfigured,
    UpstreamBusy,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
)
from utils.settings import Settings


def service(dashscope: DashScope, **settings: Any) -> AudioService:
    return AudioService(Settings(DASHSCOPE_API_KEY=dashscope.key, DASHSCOPE_API_URL=dashscope.url, **settings))  # type: ignore[arg-type]


def heard(audio: bytes) -> str:
    """The text that the fake has put into the samples of a WAV file."""
    with wave.open(io.BytesIO(audio)) as file:
        return file.readframes(file.getnframes()).decode("utf-16-le")


def test_a_text_is_spoken_as_a_wav_file(dashscope: DashScope) -> None:
    speech = service(dashscope).speak("你好，世界。")
    assert speech.media_type == "audio/wav"
    assert heard(speech.audio) == "你好，世界。"
    assert dashscope.asked[0]["model"] == "qwen3-tts-flash"
    assert dashscope.asked[0]["input"] == {"text": "你好，世界。", "voice": "Cherry"}


def test_voice_model_and_format_can_be_chosen(dashscope: DashScope) -> None:
    speech = service(dashscope, TTS_MODEL="qwen3-tts-instruct-flash").speak("Hello.", voice="Ethan", format="pcm")
    assert speech.media_type == "audio/pcm; rate=24000; channels=1"
    assert speech.audio.decode("utf-16-le") == "Hello."
    assert dashscope.asked[0]["model"] == "qwen3-tts-instruct-flash"
    assert dashscope.asked[0]["input"]["voice"] == "Ethan"


def test_a_long_text_is_spoken_in_parts_and_joined_in_order(dashscope: DashScope) -> None:
    dashscope.piece = 500
    text = "".join(f"第{n}句话说的是同一件事。" for n in range(120))
    speech = service(dashscope).speak(text)
    assert heard(speech.audio) == text
    assert len(dashscope.spoken) > 3


def test_four_parts_are_spoken_at_once_and_no_more(dashscope: DashScope) -> None:
    speak, together, at_once, most = dashscope.reply, threading.Barrier(4, timeout=10), 0, 0
    lock = threading.Lock()

    def reply(request: Request) -> Reply:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with lock:
            at_once -= 1
        return speak(request)

    dashscope.reply = reply
    text = "这一句话正好占去请求的一部分。" * 160
    assert heard(service(dashscope).speak(text).audio) == text
    assert len(dashscope.spoken) == 8
    assert most == 4


def test_an_event_may_hold_many_seconds_of_sound(dashscope: DashScope) -> None:
    dashscope.reply = lambda request: stream(event("长".encode("utf-16-le") * 700_000), event(b"", "stop"))
    assert heard(service(dashscope).speak("你好").audio) == "长" * 700_000


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": "。。。 \n"}, "text"),
        ({"text": "长" * 5_001}, "text"),
        ({"text": "你好", "format": "mp3"}, "format"),
        ({"text": "你好", "voice": "Nobody"}, "voice"),
    ],
)
def test_wrong_fields_are_named(arguments: dict[str, str], field: str, dashscope: DashScope) -> None:
    with pytest.raises(InvalidField) as caught:
        service(dashscope).speak(**arguments)
    assert [error["field"] for error in caught.value.errors] == [field]


def test_without_a_key_nothing_leaves_the_house(dashscope: DashScope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    with pytest.raises(ProviderNotConfigured) as caught:
        AudioService(Settings(DASHSCOPE_API_URL=dashscope.url)).speak("你好")
    assert caught.value.params == {"setting": "DASHSCOPE_API_KEY"}
    assert dashscope.requests == []


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (refusal(429, "Throttling.RateQuota"), UpstreamBusy),
        (refusal(503, "ServiceUnavailable"), UpstreamBusy),
        (refusal(401, "InvalidApiKey"), UpstreamRejected),
        (refusal(400, "DataInspectionFailed"), UpstreamError),
        (refusal(500, "InternalError"), UpstreamError),
        (refusal(504, "RequestTimeOut"), UpstreamTimeout),
        (stream(event(b"ab"), failed_event("Throttling", 429)), UpstreamBusy),
        (stream(event(b"ab"), failed_event("InternalError", 500)), UpstreamError),
        (stream(event(b"ab")), UpstreamError),
        (stream(event(b"", "stop")), UpstreamError),
        (stream(b"data:<html>\n\n"), UpstreamError),
        (stream(b'data:{"output": null}\n\n'), UpstreamError),
        (stream(b"data:[]\n\n"), UpstreamError),
        (stream(b"event:error\ndata:{}\n\n"), UpstreamError),
        (stream(), UpstreamError),
        (Reply("<html>proxy</html>"), UpstreamError),
        (Reply("<html>proxy</html>", 502), UpstreamError),
        (Reply("{", 500, {"Content-Type": "application/json"}), UpstreamError),
        (stream(event(b"ab").replace(b"YWI=", b"YWI")), UpstreamError),
    ],
)
def test_failures_of_the_vendor_become_ours(reply: Reply, expected: type[ChatError], dashscope: DashScope) -> None:
    dashscope.reply = lambda request: reply
    with pytest.raises(expected) as caught:
        service(dashscope).speak("你好")
    assert type(caught.value) is expected
    assert caught.value.params["upstream"] == "DashScope" and "scripted" not in str(caught.value)


def test_a_stream_without_an_end_is_given_up(dashscope: DashScope) -> None:
    dashscope.reply = lambda request: stream(*[event(bytes(2_000_000))] * 15, hang=True)
    with pytest.raises(UpstreamError):
        service(dashscope, TTS_TIMEOUT_SECONDS=20).speak("你好")


def test_one_part_that_fails_fails_the_whole(dashscope: DashScope) -> None:
    speak = dashscope.reply
    dashscope.reply = lambda request: refusal(500, "InternalError") if "末" in request.body.decode() else speak(request)
    with pytest.raises(UpstreamError):
        service(dashscope).speak("这是一句很长的话。" * 100 + "末句。")


def test_a_vendor_that_hangs_is_a_timeout(dashscope: DashScope) -> None:
    dashscope.reply = lambda request: stream(event(b"ab"), hang=True)
    for limit in ({"TTS_TIMEOUT_SECONDS": 0.2}, {"LLM_READ_TIMEOUT": 0.2}):
        with pytest.raises(UpstreamTimeout):
            service(dashscope, **limit).speak("你好")


def test_a_vendor_that_is_away_is_an_upstream_error() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, never listening
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(UpstreamError):
            AudioService(Settings(DASHSCOPE_API_KEY="sk-x", DASHSCOPE_API_URL=url)).speak("你好")  # type: ignore[arg-type]


def test_the_log_says_what_the_vendor_said_without_the_key(dashscope: DashScope, caplog: pytest.LogCaptureFixture) -> None:
    dashscope.reply = lambda request: refusal(400, "DataInspectionFailed")
    with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamError):
        service(dashscope).speak("你好")
    assert "DataInspectionFailed" in caplog.text
    assert "sk-test" not in caplog.text
