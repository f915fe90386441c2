"""Parting a text for speech, and the files that come of it."""

import io
import wave

import pytest

from utils.audio_utils import speech_parts, wav


def units(text: str) -> int:
    return sum(1 + (character > "\u2e7f") for character in text)


def test_a_short_text_is_one_part() -> None:
    assert speech_parts("  你好，世界。\n", 600) == ["你好，世界。"]


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("第一句。第二句！第三句？", 18, ["第一句。第二句！", "第三句？"]),
        ("他说：“好。”她说：“不。”", 16, ["他说：“好。”", "她说：“不。”"]),
        ("Version 3.5 is out. It is good. Try it.", 34, ["Version 3.5 is out. It is good.", "Try it."]),
        ("一行\n二行\n三行", 10, ["一行\n二行", "三行"]),
        ("没有句号，只有逗号，很长", 20, ["没有句号，只有逗号，", "很长"]),
        ("no ends but words", 9, ["no ends", "but words"]),
        ("没有任何标点的文字", 8, ["没有任何", "标点的文", "字"]),
        ("好", 1, ["好"]),
    ],
)
def test_a_long_text_is_parted_at_the_best_place(text: str, limit: int, parts: list[str]) -> None:
    assert speech_parts(text, limit) == parts


def test_no_part_is_too_long_and_nothing_is_lost() -> None:
    text = "年假为十天，见第3.5条。Ten days a year, see 3.5! 超过十年者为十五天；其余不变……\n" * 40 + "长" * 900
    parts = speech_parts(text, 600)
    assert max(map(units, parts)) <= 600
    assert len(parts) < 12
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["", " \n", "。。。", "***", "😀 !"])
def test_what_cannot_be_spoken_has_no_parts(text: str) -> None:
    assert speech_parts(text, 600) == []


def test_a_wav_file_holds_the_samples_as_24_khz_mono() -> None:
    with wave.open(io.BytesIO(wav(b"\1\0\2\0"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.readframes(10) == b"\1\0\2\0"
