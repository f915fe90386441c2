"""Rows of users' configurations, in each kind of database."""

from dataclasses import replace
from functools import partial

import pytest

from fixtures.databases import at_once
from models.database import Database
from models.user_configs import UserConfig, change, find

FULL = UserConfig("custom", 2000, "http://例.example/" + "v" * 1_900, "模型" * 100, "gAAAA" * 300)


def test_a_row_holds_what_was_put_in_and_belongs_to_its_owner(database: Database) -> None:
    change(database, "甲", "用户🙂", lambda config: FULL)
    assert find(database, "甲", "用户🙂") == FULL
    assert find(database, "甲", "用户") == find(database, "乙", "用户🙂") == UserConfig()


def test_an_edit_that_fails_changes_nothing(database: Database) -> None:
    def fails(config: UserConfig) -> UserConfig:
        raise KeyError(config.custom_model)

    change(database, "甲", "用户", lambda config: FULL)
    for user_id in ("用户", "另一个"):
        with pytest.raises(KeyError):
            change(database, "甲", user_id, fails)
    assert (find(database, "甲", "用户"), find(database, "甲", "另一个")) == (FULL, UserConfig())


def test_workers_that_change_the_same_row_at_once_lose_nothing(databases: tuple[Database, Database]) -> None:
    edits = [{"max_tokens": 5}, {"custom_api_url": "http://h/v1"}, {"custom_model": "模型"}, {"custom_api_key": "k"}]
    for user_id in ("甲", "甲", "乙"):  # whose row is new, is there, is new again
        changes = [
            partial(change, databases[n % 2], "主", user_id, lambda config, edit=edit: replace(config, **edit))
            for n, edit in enumerate(edits)
        ]
        at_once(*changes)
        assert find(databases[0], "主", user_id) == UserConfig("", 5, "http://h/v1", "模型", "k")
