"""PDFs and Word documents with pictures in them, made on the spot."""

import io
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

from fakes.documents import A4, archive, docx_of

DRAWING = "http://schemas.openxmlformats.org/drawingml/2006"
WORD_DRAWING = f"{DRAWING}/wordprocessingDrawing"
IMAGE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
INCH = 914_400  # EMU


def photo(seed: int = 0, size: tuple[int, int] = (240, 160)) -> Image.Image:
    """A picture without text: soft patches of colour, others for each seed."""
    patches = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def pdf(pages: Sequence[Sequence[str | Image.Image]], width: float = 220, rotation: int = 0) -> bytes:
    """A PDF whose pages hold lines of text and pictures, `width` points wide, from top to bottom."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=A4, invariant=1)
    for page in pages:
        sheet.setPageRotation(rotation)
        sheet.setFont("STSong-Light", 12)
        y = 800.0
        for item in page:
            if isinstance(item, str):
                y -= 20
                sheet.drawString(60, y, item)
            else:
                height = width * item.height / item.width
                y -= height + 10
                sheet.drawImage(ImageReader(item), 60, y, width, height)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def docx(body: str, pictures: Mapping[str, bytes], **parts: str) -> bytes:
    """A Word document with this XML as its body; pictures by the names of their files, to which `drawing` refers."""
    with zipfile.ZipFile(io.BytesIO(docx_of(body, **parts))) as file:
        members: dict[str, str | bytes] = {name: file.read(name) for name in file.namelist()}
    relations = "".join(
        f'<Relationship Id="{_id(name)}" Type="{IMAGE}" Target="media/{name}"/>' for name in pictures
    ).encode()
    name = "word/_rels/document.xml.rels"
    old = members[name]
    assert isinstance(old, bytes)
    members[name] = old.replace(b"</Relationships>", relations + b"</Relationships>")
    return archive(members | {f"word/media/{name}": content for name, content in pictures.items()})


def p(*inner: str) -> str:
    """A paragraph of texts and of drawings, which begin with `<`."""
    return "<w:p>" + "".join(f"<w:r>{part if part[0] == '<' else f'<w:t>{part}</w:t>'}</w:r>" for part in inner) + "</w:p>"


def drawing(name: str, kind: str = "inline", inches: float = 2.0) -> str:
    """A picture in the line (`inline`) or beside it (`anchor`)."""
    size = int(inches * INCH)
    return (
        f'<w:drawing><wp:{kind} xmlns:wp="{WORD_DRAWING}"><wp:extent cx="{size}" cy="{size}"/>'
        f'<a:graphic xmlns:a="{DRAWING}/main"><a:graphicData><pic:pic xmlns:pic="{DRAWING}/picture"><pic:blipFill>'
        f'<a:blip r:embed="{_id(name)}"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:{kind}></w:drawing>'
    )


def old_drawing(name: str) -> str:
    """A picture as older programs write it."""
    return f'<w:pict><v:shape><v:imagedata r:id="{_id(name)}"/></v:shape></w:pict>'


def _id(name: str) -> str:
    return "r" + name.replace(".", "_")
