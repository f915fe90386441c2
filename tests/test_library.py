"""What tools read of documents."""

import pytest

from fakes.documents import chinese_pdf
from fixtures.ingestion import Product
from models.conversations import ReadyDocument
from services.library import Library

SENTENCES = {
    "zh": ["员工每年享有十天带薪年假。", "报销应当在三十天内办理。", "会议室须提前一天预订。", "发票抬头必须是公司全称。"],
    "en": [
        "Ten days of leave a year.",
        "Claim costs in thirty days.",
        "Book the room in advance.",
        "Name the firm in full.",
    ],
}
HEADS = {"zh": ("云岭科技 · 内部资料", "第 {} 页 共 4 页"), "en": ("Yunling Ltd. - internal", "Page {} of 4")}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_body_of_a_single_page_is_without_header_and_footer_and_its_text_is_whole(
    product: Product, language: str
) -> None:
    head, foot = HEADS[language]
    pages = [f"{head}\n{sentence}\n{foot.format(n)}" for n, sentence in enumerate(SENTENCES[language], 1)]
    document = product.finished(product.upload(product.key(), chinese_pdf(pages), "手册.pdf"))
    library = Library(product.database, product.settings.UPLOAD_DIR)
    reading = library.read(ReadyDocument(document.id, document.filename), 3, 3)
    [part] = reading.parts
    assert (part.number, reading.total) == (3, 4)
    assert part.text.startswith(head) and part.text.endswith(foot.format(3))
    assert part.body.strip() == SENTENCES[language][2]
    summary = library.describe([ReadyDocument(document.id, document.filename)])[0].summary
    assert summary.count(head) == 1 and all(sentence in summary for sentence in SENTENCES[language])
