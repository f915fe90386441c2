"""Summaries: of the document's own sentences, and by a model that reads every part of it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from fakes.replies import hang, status
from fakes.upstream import Request, Upstream
from models.embeddings import BundledEmbedder, Vectors
from services.summaries import body_text, central_sentences, document_summary, language_of, summarise
from services.text.cutting import width
from utils.errors import ChatError, UpstreamBusy, UpstreamError
from utils.loaders import Page
from utils.settings import Settings

embed = BundledEmbedder().embed

LEAVE = [
    "员工每年享有十天带薪年假，年假应当提前两周向部门经理申请。",
    "工作满十年的员工享有十五天年假，满二十年的享有二十天年假。",
    "当年没有休完的年假可以在次年三月底之前补休，过期作废。",
    "法定节假日和周末不计入员工的年假天数，病假也不计入年假。",
]
TEA = "食堂三楼的茶水间最近换了一台新的咖啡机，颜色是蓝色的。"
ROCKETS = [
    "The Saturn V rocket carried the Apollo astronauts to the Moon.",
    "The first stage of the rocket burned kerosene and liquid oxygen.",
    "The rocket engines produced 7.5 million pounds of thrust at launch.",
    "Engineers tested the rocket many times before astronauts flew on it.",
]


def asked(answer: Callable[[str], str]) -> tuple[list[str], Callable[[str], Awaitable[str]]]:
    """A model that answers by a function, and what it was asked."""
    prompts: list[str] = []

    async def ask(prompt: str) -> str:
        prompts.append(prompt)
        return answer(prompt)

    return prompts, ask


def test_a_short_text_is_its_own_summary() -> None:
    assert central_sentences("只有一句话。", embed) == "只有一句话。"
    assert central_sentences("# 标题\n\n- 第一行\n没有写完的", embed) == "标题\n第一行\n没有写完的"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            "员工手册\n休假\n工作满五年的员工每年享有十天带薪年假，应当提前两\n周向部门经理申请。\n3.5 天以下的不计。",
            "员工手册\n休假\n工作满五年的员工每年享有十天带薪年假，应当提前两周向部门经理申请。\n3.5 天以下的不计。",
        ),
        (
            "会议纪要\n时间：2025年9月12日下午两点\n地点：三楼会议室",
            "会议纪要\n时间：2025年9月12日下午两点\n地点：三楼会议室",
        ),
        (
            "## Leave\nDate: 12 September\nEvery employee may take ten days of paid leave\na year, to be asked for in time.",
            "Leave\nDate: 12 September\nEvery employee may take ten days of paid leave a year, to be asked for in time.",
        ),
    ],
)
def test_titles_and_labels_stay_lines_and_wrapped_prose_becomes_one(text: str, summary: str) -> None:
    assert central_sentences(text, embed) == summary


def test_a_title_is_not_glued_to_the_sentence_below_it() -> None:
    title = "关于员工带薪年假申请与审批流程的若干补充规定说明"
    text = "\n".join([title, *LEAVE * 2, *(f"第{n}项事务由{n}号窗口负责办理并当场答复来访者。" for n in range(30))])
    lines = central_sentences(text, embed, 150).splitlines()
    assert all(line == title or (title not in line and line.endswith("。")) for line in lines)


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        ("| 型号 | 重量 |", "| 甲型 | 20 千克 |", "表格，共 300 行，各列为：型号、重量。"),
        ("| model | weight |", "| A | 20 kg |", "A table with 300 rows and the columns model, weight."),
    ],
)
def test_of_a_table_the_columns_and_the_number_of_rows_are_told(head: str, row: str, said: str) -> None:
    table = "\n".join([head, "| --- | --- |", *[row] * 300])
    settings = Settings(_env_file=None)
    assert document_summary(table, settings, embed) == said
    assert document_summary(f"## 2024\n\n{table}\n\n## 2025\n\n{table}", settings, embed) == f"{said}\n{said}\n2024\n2025"
    rows = central_sentences(table, embed).removesuffix("…").splitlines()
    assert len(rows) > 5 and rows[0] == head and rows[-1] == row


def test_headers_footers_and_page_numbers_are_no_part_of_what_is_summarised() -> None:
    for head, foot in (("云岭公司 · 内部资料", "第 {} 页 共 6 页"), ("Yunling Ltd. · internal", "Page {} of 6")):
        pages = [Page(n, f"{head}\n{sentence}\n{foot.format(n)}") for n, sentence in enumerate(LEAVE + ROCKETS[:2], 1)]
        summary = central_sentences(body_text(pages), embed)
        assert summary.count(head) <= 1 and summary.count(foot[:4]) <= 1
        assert all(sentence in summary for sentence in LEAVE)


@pytest.mark.parametrize(
    ("said", "summary"),
    [
        ("年假共五天 [1] [9]。另见【来源 9】。", "年假共五天。另见。"),
        ("Annual leave is 5 days [1] [9]. See also [Source 9], [^9].", "Annual leave is 5 days. See also."),
    ],
)
def test_markers_that_a_model_invents_are_not_in_the_summary(said: str, summary: str) -> None:
    _, ask = asked(lambda prompt: said)
    assert asyncio.run(summary_of("".join(LEAVE), ask)) == summary


@pytest.mark.parametrize("text", ["", "  \n\u3000"])
def test_only_a_blank_text_has_no_summary(text: str) -> None:
    assert central_sentences(text, embed) == ""


@pytest.mark.parametrize(
    "text", ["x" * 5_000, "无标点" * 900, "| 名称 | 数量 |\n" * 300, "1 2 3 4. " * 500, "- " * 800, "。\n" * 200_000]
)
def test_text_without_sentences_has_a_summary_too(text: str) -> None:
    assert 0 < len(central_sentences(text, embed)) <= 600


def test_the_summary_is_made_of_central_sentences_in_their_order() -> None:
    text = LEAVE[0] + TEA + "".join(LEAVE[1:])
    summary = central_sentences(text, embed, max_chars=70)
    chosen = re.findall(r"[^。]+。", summary)
    assert len(chosen) == 2 and len(summary) <= 70
    assert set(chosen) <= set(LEAVE)
    assert [text.index(sentence) for sentence in chosen] == sorted(text.index(sentence) for sentence in chosen)


def test_english_sentences_keep_a_space_between_them() -> None:
    summary = central_sentences(
        " ".join(ROCKETS) + " The cafeteria served fish on Friday afternoon in May.", embed, max_chars=140
    )
    assert summary.count(". ") == 1 and all(sentence in " ".join(ROCKETS) for sentence in summary.split(". "))


def test_each_theme_is_there_once() -> None:
    summary = central_sentences("".join(LEAVE * 3) + " ".join(ROCKETS * 3), embed, max_chars=110)
    assert sum(sentence in summary for sentence in LEAVE) == 1
    assert sum(sentence in summary for sentence in ROCKETS) == 1


def test_a_document_of_a_thousand_pages_takes_bounded_work() -> None:
    embedded: list[int] = []

    def counting(texts: Sequence[str]) -> Vectors:
        embedded.append(len(texts))
        return embed(texts)

    text = "\n\n".join(f"第 {n} 页说明了规定{n}的适用范围以及例外情形。" * 20 for n in range(1_000))
    started = time.monotonic()
    summary = central_sentences(text, counting)
    assert time.monotonic() - started < 20
    assert sum(embedded) <= 400
    pages = [int(number) for number in re.findall(r"第 (\d+) 页", summary)]
    assert pages == sorted(pages) and len(pages) > 5


def test_the_language_is_that_of_most_of_the_text() -> None:
    assert language_of("员工手册 Employee Handbook 年假规定") == "zh"
    assert language_of("A paper on rockets by Wang (王) and Li (李), published in Nature.") == "en"


async def summary_of(text: str, ask: Callable[[str], Awaitable[str]], limit: int = 400) -> str:
    return await summarise(text, ask, "zh", embed, limit)


def test_a_document_that_fits_is_summarised_in_one_call() -> None:
    prompts, ask = asked(lambda prompt: " 这是年假规定。\n")
    assert asyncio.run(summary_of("".join(LEAVE), ask)) == "这是年假规定。"
    assert len(prompts) == 1 and all(sentence in prompts[0] for sentence in LEAVE)


def test_every_piece_of_a_long_document_reaches_the_model_and_so_does_every_note() -> None:
    sentences = [f"第 {n} 条规定了事项{n}的办理期限和责任人。" for n in range(200)]
    notes: list[str] = []

    def answer(prompt: str) -> str:
        notes.append(f"笔记（{len(notes)}）")
        return notes[-1]

    prompts, ask = asked(answer)
    assert asyncio.run(summary_of("\n".join(sentences), ask)) == notes[-1]
    of_pieces = [prompt for prompt in prompts if "条规定了" in prompt]
    of_notes = [prompt for prompt in prompts if "条规定了" not in prompt]
    assert len(of_pieces) > 10 > len(of_notes) > 0
    assert all(sum(sentence in prompt for prompt in of_pieces) == 1 for sentence in sentences)
    assert all(sum(note in prompt for prompt in of_notes) == 1 for note in notes[:-1])


def test_notes_as_long_as_the_text_come_to_an_end() -> None:
    prompts, ask = asked(lambda prompt: "很长的笔记，" * 400)
    asyncio.run(summary_of("".join(LEAVE) * 40, ask))
    assert len(prompts) < 100
    assert max(width(prompt) for prompt in prompts) < 1_200


def test_no_more_than_four_calls_run_at_once() -> None:
    running, most = 0, 0

    async def ask(prompt: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return "笔记"

    asyncio.run(summary_of("".join(LEAVE) * 40, ask))
    assert most == 4


@pytest.mark.parametrize("error", [UpstreamError(upstream="x"), UpstreamBusy(upstream="x")])
@pytest.mark.parametrize("times", [1, 30])
def test_when_the_model_fails_the_central_sentences_are_taken(error: ChatError, times: int) -> None:
    async def ask(prompt: str) -> str:
        raise error

    text = "".join(LEAVE) * times
    assert asyncio.run(summary_of(text, ask)) == central_sentences(text, embed)


def test_an_empty_answer_is_no_summary() -> None:
    _, ask = asked(lambda prompt: " \n")
    assert asyncio.run(summary_of("".join(LEAVE), ask)) == "".join(LEAVE)


@pytest.fixture
def settings(upstream: Upstream) -> Settings:
    return Settings(LLM_PROVIDER="openai_compatible", LLM_API_URL=upstream.url, LLM_MODEL="scripted")  # type: ignore[arg-type]


def test_without_a_model_a_document_is_summarised_by_its_own_sentences() -> None:
    assert document_summary("".join(LEAVE), Settings(LLM_PROVIDER="offline"), embed) == "".join(LEAVE)


def test_a_configured_model_summarises_in_the_language_of_the_document(upstream: Upstream, settings: Settings) -> None:
    def answer(request: Request) -> str:
        return "年假规定的概要。" if "概括" in request.question else "About rockets."

    upstream.on(answer)
    assert document_summary("".join(LEAVE), settings, embed) == "年假规定的概要。"
    assert document_summary(" ".join(ROCKETS), settings, embed) == "About rockets."


def test_a_model_that_fails_or_hangs_does_not_keep_a_document_from_being_ready(
    upstream: Upstream, settings: Settings
) -> None:
    upstream.reply(status(401))
    assert document_summary("".join(LEAVE), settings, embed) == "".join(LEAVE)
    upstream.reply(hang("headers"))
    impatient = settings.model_copy(update={"DOCUMENT_TIMEOUT_SECONDS": 1})
    assert document_summary("".join(LEAVE), impatient, embed) == "".join(LEAVE)
    upstream.release()
