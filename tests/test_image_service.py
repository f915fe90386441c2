"""Pictures of a message: stored, read by a real job, described by the scripted upstream."""

import io

import pytest
from PIL import Image

from fakes import documents as make
from fakes.replies import status
from fixtures.ingestion import Product
from services.image_service import ImageService
from utils import http_client
from utils.errors import DocumentUnreadable, NotFound, TooLarge, Unavailable, UnsupportedType
from utils.settings import Settings


def sideways() -> bytes:
    """A phone's picture: it lies on its side and says so."""
    picture = make.picture(["会议室 305", "下午三点开会"], 40).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_picture_is_put_upright_read_and_described(product: Product) -> None:
    stored = product.images.store(product.key(), io.BytesIO(sideways()), "照片.jpg")
    read = http_client.run(product.images.examine(stored, "zh"))
    assert "305" in read.ocr_text
    assert "下午三点开会" in read.ocr_text
    assert (read.filename, read.media_type, read.description) == ("照片.jpg", "image/jpeg", product.upstream.image_text)
    with Image.open(product.settings.UPLOAD_DIR / read.path) as upright:
        assert upright.width > upright.height
    asked = product.upstream.requests[-1]
    assert asked.body["model"] == "seeing"
    assert "中文" in asked.question
    assert asked.images == [(product.settings.UPLOAD_DIR / read.path).read_bytes()]


def test_failing_vision_model_costs_only_the_description(product: Product) -> None:
    product.upstream.on(lambda request: status(500))
    stored = product.images.store(product.key(), io.BytesIO(make.text_image(["会议纪要"])), "图.png")
    read = http_client.run(product.images.examine(stored, "en"))
    assert (read.ocr_text, read.description) == ("会议纪要", None)


def test_damaged_picture_is_refused_and_deleted(product: Product) -> None:
    stored = product.images.store(product.key(), io.BytesIO(make.text_image(["图"])[:200]), "坏.png")
    with pytest.raises(DocumentUnreadable) as caught:
        http_client.run(product.images.examine(stored, "zh"))
    assert caught.value.reason == "damaged"
    assert not (product.settings.UPLOAD_DIR / stored.path).parent.exists()


def test_what_is_no_picture_leaves_nothing(idle_product: Product) -> None:
    key = idle_product.key()
    for content, error in (("文字".encode(), UnsupportedType), (b"", DocumentUnreadable)):
        with pytest.raises(error):
            idle_product.images.store(key, io.BytesIO(content), "图.png")
    small = Settings(**idle_product.environment, UPLOAD_MAX_BYTES=10)
    with pytest.raises(TooLarge):
        ImageService(small, idle_product.database).store(key, io.BytesIO(make.text_image(["图"])), "图.png")
    assert not [path for path in idle_product.settings.UPLOAD_DIR.rglob("*") if path.is_file()]
    with pytest.raises(NotFound):
        idle_product.documents.list(key)


def test_picture_that_nobody_reads_in_time_is_an_error_and_no_job_stays(idle_product: Product) -> None:
    impatient = Settings(**idle_product.environment, FILE_WAIT_SECONDS=0.1)
    images = ImageService(impatient, idle_product.database)
    stored = images.store(idle_product.key(), io.BytesIO(make.text_image(["图"])), "图.png")
    with pytest.raises(Unavailable):
        http_client.run(images.examine(stored, "zh"))
    assert images.jobs.live() == set()
