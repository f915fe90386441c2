"""Small documents made on the spot, one function for each format; every function gives the bytes of a file.

Chinese in pictures is drawn with the font inside OpenCV, so that no font of the system is needed.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from html import escape

import cv2
import numpy as np
import openpyxl
import pptx
from PIL import Image
from pptx.util import Inches
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

A4 = (595, 842)  # points
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
Cell = str | int | float | None


def chinese_pdf(pages: Sequence[str], password: str | None = None) -> bytes:
    """A PDF with a text layer, Chinese or English; each page holds the lines of its string. An empty password opens it."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    return _pdf(pages, "STSong-Light", password)


def english_pdf(pages: Sequence[str], password: str | None = None) -> bytes:
    """A PDF in Helvetica, Latin letters only."""
    return _pdf(pages, "Helvetica", password)


def _pdf(pages: Sequence[str], font: str, password: str | None) -> bytes:
    out = io.BytesIO()
    lock = None if password is None else StandardEncryption(password, ownerPassword="owner")
    sheet = canvas.Canvas(out, pagesize=A4, invariant=1, encrypt=lock)
    for page in pages:
        text = sheet.beginText(60, 780)
        text.setFont(font, 12)
        text.textLines(page)
        sheet.drawText(text)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def placed_pdf(pages: Sequence[Sequence[tuple[int, str]]], rotation: int = 0) -> bytes:
    """A PDF whose pages hold lines, each with its height in points, in the order in which they are drawn."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=A4, invariant=1)
    for page in pages:
        sheet.setPageRotation(rotation)
        sheet.setFont("STSong-Light", 10)
        for height, line in page:
            sheet.drawString(60, height, line)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def form_pdf(name: str, value: str) -> bytes:
    """A PDF with one field, named and filled in."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=A4, invariant=1)
    sheet.drawString(60, 720, name)
    sheet.acroForm.textfield(name=name, value=value, x=200, y=710, width=200, height=20)
    sheet.save()
    return out.getvalue()


def raw_pdf(pages: Sequence[bytes], objects: Sequence[bytes] = ()) -> bytes:
    """A PDF with these content streams. Font `/F` is Helvetica, form `/X` the first of `objects`, which is number 3."""
    first = 3 + len(objects)
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(pages)))
    found = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(pages)), *objects]
    forms = b"/XObject<</X 3 0 R>>" if objects else b""
    resources = b"<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>%s>>" % forms
    for number, page in enumerate(pages):
        found.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources%s>>"
            % (first + 2 * number + 1, resources)
        )
        found.append(stream(b"", page))
    out = b"%PDF-1.7\n"
    places = []
    for number, content in enumerate(found, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(found) + 1
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + trailer


def stream(entries: bytes, content: bytes) -> bytes:
    """A stream object of a PDF, with these entries in its dictionary."""
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


def picture(lines: Sequence[str], size: int = 28) -> Image.Image:
    """Black text on white, one line below the other; `size` is the height of the letters in pixels."""
    font = cv2.FontFace("uni")
    widths = [cv2.getTextSize((0, 0), line, (0, 0), font, size)[2] for line in lines] or [0]
    pixels = np.full((2 * size * (len(lines) + 1), max(widths) + 4 * size, 3), 255, np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(pixels, line, (2 * size, 2 * size * (number + 1)), (0, 0, 0), font, size)
    return Image.fromarray(pixels)


def text_image(lines: Sequence[str], format: str = "PNG") -> bytes:
    """A picture of text in a format of Pillow."""
    out = io.BytesIO()
    picture(lines).save(out, format)
    return out.getvalue()


def scanned_pdf(lines: Sequence[Sequence[str]]) -> bytes:
    """A PDF whose pages are pictures without a text layer; one list of lines for each page."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=A4, invariant=1)
    for page in lines:
        image = picture(page)
        width = min(A4[0], image.width / 2)
        height = width * image.height / image.width
        sheet.drawImage(ImageReader(image), 0, A4[1] - height, width, height)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def archive(members: Mapping[str, str | bytes]) -> bytes:
    """A zip file with these members, in this order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def docx(paragraphs: Sequence[str]) -> bytes:
    """A DOCX of plain paragraphs."""
    return docx_of("".join(f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>" for text in paragraphs))


def docx_of(body: str, **parts: str) -> bytes:
    """A DOCX with this XML as its body; `parts` are the inner XML of header, footer, styles, numbering and notes."""
    roots = {"header": "hdr", "footer": "ftr"}
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    types = {"document": "document.main", "styles": "styles", **{name: name for name in parts}}
    overrides = "".join(
        f'<Override PartName="/word/{name}.xml" ContentType="{main}.{kind}+xml"/>' for name, kind in types.items()
    )
    related = "".join(
        f'<Relationship Id="r{name}" Type="{kinds}/{name}" Target="{name}.xml"/>' for name in {"styles": "", **parts}
    )
    package = "http://schemas.openxmlformats.org/package/2006"
    spaces = (
        f'xmlns:w="{W}" xmlns:r="{kinds}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
        'xmlns:v="urn:schemas-microsoft-com:vml"'
    )
    members = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{kinds}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">{related}</Relationships>',
        "word/document.xml": f"<w:document {spaces}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f'<w:styles {spaces}><w:style w:type="paragraph" w:styleId="2"><w:name w:val="heading 2"/>'
        '<w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>',
    }
    for name, inner in parts.items():
        root = roots.get(name, name)
        members[f"word/{name}.xml"] = f"<w:{root} {spaces}>{inner}</w:{root}>"
    return archive(members)


def xlsx(sheets: Mapping[str, Sequence[Sequence[Cell]]]) -> bytes:
    """A workbook; each sheet is a list of rows."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def slides(pages: Sequence[tuple[str, str]], notes: str = "", table: Sequence[Sequence[str]] = ()) -> bytes:
    """A PPTX; each slide is a title and a text. Notes and table stand on the last slide."""
    show = pptx.Presentation()
    for title, text in pages:
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    if notes:
        slide.notes_slide.notes_text_frame.text = notes
    if table:
        grid = slide.shapes.add_table(len(table), len(table[0]), Inches(1), Inches(4), Inches(6), Inches(1)).table
        for y, row in enumerate(table):
            for x, text in enumerate(row):
                grid.cell(y, x).text = text
    out = io.BytesIO()
    show.save(out)
    return out.getvalue()


def epub(chapters: Sequence[tuple[str, str]]) -> bytes:
    """A book; each chapter is a title and a paragraph. The files' names run against the order of the spine."""
    names = [f"c{len(chapters) - number}.xhtml" for number in range(len(chapters))]
    items = "".join(f'<item id="{name}" href="text/{name}" media-type="application/xhtml+xml"/>' for name in sorted(names))
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    members: dict[str, str] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
        "</container>",
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for name, (title, text) in zip(names, chapters, strict=True):
        members[f"OEBPS/text/{name}"] = html(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>").decode()
    return archive(members)


def html(title: str, body: str) -> bytes:
    """A page in XHTML; `body` is markup."""
    head = f'<meta charset="utf-8"/><title>{escape(title)}</title>'
    return f'<html xmlns="http://www.w3.org/1999/xhtml"><head>{head}</head><body>{body}</body></html>'.encode()


def eml(subject: str, text: str, *, html_text: str = "", attachments: Mapping[str, bytes] | None = None) -> bytes:
    """A mail from 王芳 to a team, with a plain part, a part in HTML where one is given, and attachments by name."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "王芳 <wang@example.com>", "team@example.com", subject
    mail["Date"] = "Mon, 03 Mar 2025 09:30:00 +0800"
    mail.set_content(text)
    if html_text:
        mail.add_alternative(html_text, subtype="html")
    for name, content in (attachments or {}).items():
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes()
