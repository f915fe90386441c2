"""Pictures made fit for reading: upright, RGB, bounded before anything is decoded."""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from PIL import ExifTags, Image, ImageCms

from utils.errors import DocumentUnreadable

MAX_PIXELS = 16_000_000  # of a picture that is worked on
MAX_SOURCE_PIXELS = 60_000_000  # of one that is decoded whole
MAX_JPEG_PIXELS = 220_000_000  # of one that can be decoded at a fraction of its size; phones make up to 200 million
MAX_FRAMES = 500
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")
SRGB = ImageCms.createProfile("sRGB")
TURNS = {  # by the orientation in the metadata
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DAMAGE = (ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError)

Image.MAX_IMAGE_PIXELS = MAX_JPEG_PIXELS  # Pillow would warn of pictures that are let through below


def normalise_image(source: Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A picture as a person sees it: its first frame turned upright, on white, RGB, without metadata.

    It has about `max_pixels` pixels at most. Raises DocumentUnreadable where it is damaged or too large.
    """
    return next(frames(source, max_pixels))


def frames(source: Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The pages of a TIFF, of any other format the first frame, each as `normalise_image` makes it."""
    try:
        with Image.open(source, formats=FORMATS) as image:
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            for number in range(min(count, MAX_FRAMES)):
                image.seek(number)
                yield _normalise(image, max_pixels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise DocumentUnreadable("too_large") from error
    except DAMAGE as error:
        raise DocumentUnreadable("damaged") from error


def read_pictures(contents: Iterable[bytes], ocr: Callable[[Image.Image], str]) -> str:
    """The texts of the pictures in a document, one below the other, as far as they can be read."""
    texts = []
    for content in contents:
        with suppress(DocumentUnreadable):
            texts.append(ocr(normalise_image(io.BytesIO(content))))
    return "\n\n".join(texts)


def encode_for_model(image: Image.Image, max_side: int = 2048) -> bytes:
    """A normalised picture as a JPEG that is at most `max_side` pixels wide and high."""
    copy = image.copy()
    copy.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    copy.save(out, "JPEG", quality=90)
    return out.getvalue()


def _normalise(image: Image.Image, max_pixels: int) -> Image.Image:
    pixels = image.width * image.height
    shrink = min(1.0, math.sqrt(max_pixels / pixels))
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (int(image.width * shrink), int(image.height * shrink)))
    limit = MAX_SOURCE_PIXELS if image.width * image.height == pixels else MAX_JPEG_PIXELS
    if pixels > limit:
        raise DocumentUnreadable("too_large")
    picture = rgb(image, max_pixels)
    with suppress(*DAMAGE):  # of the metadata only
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation in TURNS:
            picture = picture.transpose(TURNS[orientation])
    picture.info = {}
    return picture


def rgb(image: Image.Image, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A picture in any mode on white, in RGB, with about `max_pixels` pixels at most."""
    if image.mode.startswith(("I", "F")):
        return _shrink(_eight_bits(image), max_pixels).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = _shrink(image.convert("RGBA"), max_pixels)
        white = Image.new("RGB", clear.size, "white")
        white.paste(clear, mask=clear.getchannel("A"))
        return white
    if image.mode == "LAB":
        image = (
            ImageCms.applyTransform(image, ImageCms.buildTransform(ImageCms.createProfile("LAB"), SRGB, "LAB", "RGB"))
            or image
        )
    return _shrink(image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB"), max_pixels).convert("RGB")


def _shrink(image: Image.Image, max_pixels: int) -> Image.Image:
    factor = math.sqrt(max_pixels / (image.width * image.height))
    if factor >= 1:
        return image
    return image.resize((max(1, int(image.width * factor)), max(1, int(image.height * factor))), reducing_gap=2.0)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey values of 12, 16 or 32 bits, brought into the range of 8."""
    brightest: Any = image.getextrema()[1]
    scale = 255 / brightest if brightest > 255 else 1.0
    return image.convert("F").point(lambda value: value * scale + 0).convert("L")
