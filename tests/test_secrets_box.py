"""The box in which users' keys are stored."""

import fcntl
import stat
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from utils.errors import ProviderNotConfigured
from utils.secrets_box import SecretsBox


def test_what_is_sealed_opens_for_its_purpose_only(tmp_path: Path) -> None:
    box = SecretsBox(SecretStr(""), tmp_path / "data" / "secret.key")
    sealed = box.seal("钥匙", "甲")
    assert box.open(sealed, "甲") == "钥匙" and box.open(sealed, "乙") is None
    assert box.open(sealed[:-2] + "AA", "甲") is box.open("", "甲") is box.open("nonsense", "甲") is None


def test_the_file_is_made_once_for_us_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    sealed = SecretsBox(SecretStr(""), file).seal("钥匙", "甲")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(file.read_bytes()) >= 32
    assert SecretsBox(SecretStr(""), file).open(sealed, "甲") == "钥匙"


def test_while_one_worker_makes_the_secret_the_others_wait_for_it(tmp_path: Path) -> None:
    file, sealed = tmp_path / "secret.key", []
    waiting = threading.Thread(target=lambda: sealed.append(SecretsBox(SecretStr(""), file).seal("钥匙", "甲")))
    with file.open("wb") as made:
        fcntl.flock(made, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        made.write(b"the secret of the first")
    waiting.join(10)
    assert SecretsBox(SecretStr("the secret of the first"), file).open(sealed[0], "甲") == "钥匙"


def test_with_a_setting_there_is_no_file(tmp_path: Path) -> None:
    SecretsBox(SecretStr("0123456789abcdef"), tmp_path / "secret.key").seal("钥匙", "甲")
    assert not list(tmp_path.iterdir())


def test_where_the_file_cannot_be_made_the_setting_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderNotConfigured) as caught:
        SecretsBox(SecretStr(""), tmp_path / "file" / "secret.key").seal("钥匙", "甲")
    assert "SECRET_KEY" in caught.value.message("zh")
