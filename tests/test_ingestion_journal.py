"""What a run has read outlives it."""

from pathlib import Path

import pytest

from services.page_journal import PageJournal
from utils.loaders import Page


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pages.jsonl"


def test_later_run_goes_on_where_the_first_ended(path: Path) -> None:
    first = PageJournal(path)
    first.begin(3)
    first.add(Page(1, "第一页\n有两行", "ocr"))
    second = PageJournal(path)
    assert (second.pages, second.next_number, second.complete) == ([Page(1, "第一页\n有两行", "ocr")], 2, False)
    second.begin(3)
    second.add(Page(2, ""))
    second.add(Page(3, "end"))
    second.end()
    third = PageJournal(path)
    assert third.complete
    assert [page.number for page in third.pages] == [1, 2, 3]


def test_page_cut_off_by_a_crash_is_read_again(path: Path) -> None:
    journal = PageJournal(path)
    journal.begin(2)
    journal.add(Page(1, "whole"))
    with path.open("ab") as file:
        file.write('{"number": 2, "text": "半'.encode()[:-1])
    again = PageJournal(path)
    assert again.next_number == 2
    again.add(Page(2, "two"))
    assert [page.text for page in PageJournal(path).pages] == ["whole", "two"]


def test_format_without_pages_is_read_from_its_beginning(path: Path) -> None:
    journal = PageJournal(path)
    journal.begin(None)
    journal.add(Page(None, "one"))
    again = PageJournal(path)
    again.begin(None)
    again.add(Page(None, "one"))
    assert len(PageJournal(path).pages) == 1


def test_run_is_stuck_until_it_has_read_a_page(path: Path) -> None:
    journal = PageJournal(path)
    assert not journal.stuck
    journal.begin(5)
    assert PageJournal(path).stuck
    journal.add(Page(1, "text"))
    assert not PageJournal(path).stuck


def test_page_that_kills_its_job_is_passed_over_and_reported(path: Path) -> None:
    journal = PageJournal(path)
    journal.begin(2)
    journal.give_up_page("too_complex")
    journal.add(Page(2, "文字"))
    assert journal.report() == [
        {"page": 1, "method": "empty", "chars": 0, "detail": "too_complex"},
        {"page": 2, "method": "text", "chars": 2},
    ]
    assert (journal.given_up, journal.gaps, journal.next_number) == (["too_complex"], True, 3)


def test_blank_page_is_no_gap(path: Path) -> None:
    journal = PageJournal(path)
    journal.begin(3)
    journal.add(Page(1, "", "empty", "blank"))
    journal.add(Page(2, "", "empty", "no_text"))
    assert not journal.gaps
    journal.add(Page(3, "", "empty", "ocr_failed"))
    assert journal.gaps
    assert journal.given_up == []
