"""What is quoted of passages when there is no model: what answers the question, and little else."""

import pytest

from models.excerpts import WIDTH, best, excerpts, sought
from models.picture_words import inside
from models.quoting import Found
from utils.prose import columns

CITIES = "\n".join(
    [
        "出差住宿标准",
        "员工出差住宿标准按照城市分档执行，由财务部门解释。",
        "| 城市 | 每晚（元） |",
        "| --- | --- |",
        *(
            f"| {city} | {amount} |"
            for city, amount in {"北京": 600, "上海": 550, "广州": 500, "昆明": 350, "大理": 300}.items()
        ),
        "第 3 页 共 20 页",
    ]
)
PROJECTS = "\n".join(
    ["| 模块 | 负责人 | 预算 |", "| --- | --- | --- |", *(f"| 模块{n:02} | 员工{n} | {n} 万元 |" for n in range(1, 61))]
)
LEAVE = "\n".join(
    [
        *(f"第{n}条 各部门负责人应当组织员工学习年假的有关规定，并做好第{n}季度的登记工作。" for n in range(1, 7)),
        "第七条 年假为五天，工作满十年的为十天。",
        *(f"第{n}条 各部门负责人应当组织员工学习病假的有关规定，并做好登记工作。" for n in range(8, 12)),
        "第十二条 病假须出示医院证明，每年不超过十五天。",
    ]
)
PRICES = "\n".join(
    ["| city | hotel | meals |", "| --- | --- | --- |", *(f"| Town{n} | {n * 10} EUR | {n} EUR |" for n in range(1, 40))]
)
RULES = (
    "Managers inform the staff of the rules on annual leave. Managers remind the staff of the rules on annual leave. "
    "Annual leave is 12 days. Managers tell the staff about the rules on annual leave."
)


def quoted(question: str, *texts: str) -> list[str]:
    passages = [Found(number, f"手册.pdf，第 {number} 页", text) for number, text in enumerate(texts, 1)]
    asked = sought(question, passages)
    found = [text for _, text in excerpts(best(passages, asked), asked)]
    pieces = [piece for text in found for piece in text.split("\n") if piece != "…"]
    assert all(any(piece in text for text in texts) for piece in pieces)  # word for word
    assert all(columns(text) <= WIDTH * 1.5 for text in found)
    return found


@pytest.mark.parametrize(
    ("question", "text", "held", "not_held"),
    [
        ("昆明出差住宿标准是多少？", CITIES, ["| 城市 | 每晚（元） |", "| 昆明 | 350 |"], ["北京", "大理", "共 20 页"]),
        (
            "模块45的预算是多少？",
            PROJECTS,
            ["| 模块 | 负责人 | 预算 |", "| 模块45 | 员工45 | 45 万元 |"],
            ["模块01", "模块46"],
        ),
        ("年假有什么规定？", LEAVE, ["年假为五天"], ["各部门负责人应当组织员工学习病假"]),
        ("病假每年多少天？", LEAVE, ["病假须出示医院证明，每年不超过十五天。"], ["年假为"]),
        (
            "How much is a hotel in Town17?",
            PRICES,
            ["| city | hotel | meals |", "| Town17 | 170 EUR |"],
            ["Town16", "Town2 "],
        ),
        ("How many days is annual leave?", RULES, ["Annual leave is 12 days."], []),
    ],
)
def test_the_sentence_or_the_row_that_is_asked_for_is_quoted(
    question: str, text: str, held: list[str], not_held: list[str]
) -> None:
    [found] = quoted(question, text)
    assert all(words in found for words in held) and not any(words in found for words in not_held), found


def test_sentences_that_are_nearly_the_same_are_quoted_once() -> None:
    assert quoted("年假有什么规定？", LEAVE)[0].count("各部门负责人") <= 1
    assert quoted("What are the rules on annual leave?", RULES)[0].count("Managers") <= 1
    assert quoted("年假有什么规定？", LEAVE, LEAVE.replace("手册", "附件")) == quoted("年假有什么规定？", LEAVE)


def test_a_row_is_quoted_below_the_head_of_its_table_and_not_with_its_neighbours() -> None:
    text = "项目组名单如下。\n\n| 职务 | 姓名 |\n| --- | --- |\n| 项目经理 | 李明 |\n" + "| 组员 | 王五 |\n" * 20
    assert quoted("项目经理是谁？", text)[0].endswith("| 职务 | 姓名 |\n| --- | --- |\n| 项目经理 | 李明 |")
    text = "name\trole\nLi Ming\tproject manager\n" + "Wang Wu\tmember\n" * 20
    assert quoted("Who is the project manager?", text) == ["name\trole\nLi Ming\tproject manager"]


def test_a_passage_with_a_rare_word_of_the_question_is_quoted_though_others_have_more_of_its_words() -> None:
    general = [
        "出差住宿标准由财务部制定，出差住宿标准每年调整。",
        "员工出差住宿标准见附表，出差住宿须提前申请。",
        "住宿标准",
    ]
    found = quoted("昆明出差住宿标准是多少？", *general, "| 大理 | 300 |\n| 昆明 | 350 |")
    assert any("| 昆明 | 350 |" in text for text in found) and not any("大理" in text for text in found)


def test_what_follows_a_title_or_a_colon_is_quoted_with_it() -> None:
    assert "李明" in quoted("项目经理是谁？", "项目经理\n李明，工号一千零一\n\n其他人员\n王五")[0]
    assert quoted("What are the office hours?", "The office hours are:\n- Monday 9 to 5\n- Friday 9 to 1\n\nLunch is free.")[
        0
    ].startswith("The office hours are:\n- Monday 9 to 5\n- Friday 9 to 1")


def test_a_long_sentence_is_cut() -> None:
    long = "，".join(f"第{n}项费用为{n}百元" for n in range(300)) + "。"
    [found] = quoted("第77项费用是多少？", long)
    assert "第77项费用为77百元" in found


def test_wrapped_sentences_are_quoted_whole() -> None:
    text = "说明\n员工入职满一年之后，由部门经理批准，每年可以享有带薪\n年假十天，当年有效。\n食堂三楼有一台新的咖啡机。"
    assert quoted("年假有几天？", text) == [text.split("\n", 1)[1].rpartition("\n")[0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[图片文字：\n烤箱预热 45 分钟]", "烤箱预热 45 分钟"),
        ("[图片：一张流程图。", "一张流程图。"),
        ("[Picture text:\nBake for 45 minutes]", "Bake for 45 minutes"),
        ("Text in the picture:\nJan 12]", "Jan 12"),
        ("见附录 [3]", "见附录 [3]"),
    ],
)
def test_words_around_the_text_of_a_picture_are_not_quoted(text: str, said: str) -> None:
    start, end = inside(f"前{text}\n后", 1, 1 + len(text))
    assert f"前{text}\n后"[start:end] == said
    assert all("[图片文字" not in found for found in quoted("烤箱预热几分钟？", "[图片文字：\n烤箱预热 45 分钟]"))
