"""Speech as text pieces that a model can take, and as samples that a player can play."""

import io
import re
import wave

SAMPLE_RATE = 24_000  # of Qwen-TTS: mono, 16 bits, little endian
SAMPLE_BYTES = 2
MEDIA_TYPES = {"wav": "audio/wav", "pcm": f"audio/pcm; rate={SAMPLE_RATE}; channels=1"}

# Where a text may be parted, best places first: sentences and lines, clauses, words
_ENDS = tuple(map(re.compile, (r"[。！？!?…；;\n]+[”’」』）)\"']*|\.+[”’)\"']*(?=\s)", r"[，,、：:]", r"\s")))
_WIDE = "\u2e80"  # from here on a character counts as two, as DashScope counts


def wav(samples: bytes) -> bytes:
    """A WAV file of samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(samples)
    return file.getvalue()


def speech_parts(text: str, limit: int) -> list[str]:
    """`text` in parts of at most `limit` units each, a Chinese character being two; parted at the best place there is.

    Parts without any letter, digit or character are left out: there is nothing to speak.
    """
    parts = []
    while text := text.strip():
        length = _fitting(text, limit)
        if length < len(text):
            length = _last_end(text[:length])
        parts.append(text[:length].strip())
        text = text[length:]
    return [part for part in parts if any(character.isalnum() for character in part)]


def _fitting(text: str, limit: int) -> int:
    """How many characters from the beginning take at most `limit` units; one at least."""
    units = 0
    for position, character in enumerate(text):
        units += 1 + (character >= _WIDE)
        if units > limit:
            return max(position, 1)
    return len(text)


def _last_end(text: str) -> int:
    for ends in _ENDS:
        places = [match.end() for match in ends.finditer(text)]
        if places:
            return places[-1]
    return len(text)
