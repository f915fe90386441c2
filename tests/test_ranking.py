"""Ranking over documents in several languages, with the bundled encoder: the language of an answer is no handicap."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.conversations import ReadyDocument
from models.embeddings import BundledEmbedder
from models.vector_db_manager import StoredDocument, StoredPassage
from services.search.ranking import DENSE_FLOOR, DENSE_WEIGHT, LEXICAL_FLOOR, Part, Ranking, rank
from services.search.segments import Segment, Source, write

CHINESE = {
    "年假": "员工入职满一年后，每年享有十天带薪年假。年假应当提前两周向部门经理提出申请，未休完的可以顺延到次年三月。",
    "报销": "差旅费用应当在出差结束后三十天内报销。酒店住宿标准为每晚五百元，超出部分由个人承担，发票抬头必须是公司全称。",
    "考勤": "工作时间为上午九点到下午六点，中午休息一小时。员工迟到三次记为一次旷工，按半天工资扣除。",
    "食堂": "公司食堂每天中午十一点半开放，素菜和清真窗口在二楼。员工凭工牌用餐，每餐补贴十五元。",
    "宿舍": "单身员工可以申请宿舍，每间住两人，水电费由公司承担。晚上十一点以后不得大声喧哗。",
    "乒乓球": "公司每年秋天举办乒乓球比赛，冠军可以得到一台笔记本电脑，报名在九月底截止。",
}
ENGLISH = {
    "parking": "Employees who drive to work may park in the garage under building B. A parking permit costs 40 euros a "
    "month and has to be renewed every year at the front desk.",
    "passwords": "Passwords must have at least fourteen characters and must not be reused. After five failed attempts the "
    "account is locked for one hour. Employees must never share their password.",
    "kitchen": "Each employee keeps the kitchen clean. The dishwasher is started in the evening; food that is left in the "
    "fridge on Friday is thrown away.",
    "fire": "When the fire alarm sounds, leave the building at once by the stairs and meet on the lawn. Do not use the "
    "lift. Fire drills take place twice a year.",
    "laptops": "Laptops are replaced every four years. A broken screen has to be reported to the help desk within two days; "
    "the company pays for the repair.",
    "visitors": "Visitors have to be met at the front desk and wear a badge. They may not enter the laboratory on the third "
    "floor without a member of the staff.",
}
ANSWERED_IN_CHINESE = [
    ("How many days of paid vacation do employees get each year?", "年假"),
    ("How long after a business trip must travel expenses be submitted?", "报销"),
    ("How many people share a room in the dormitory?", "宿舍"),
    ("What happens to an employee who is late for work three times?", "考勤"),
    ("At what time does the canteen open for lunch?", "食堂"),
    ("What does the winner of the table tennis competition get from the company?", "乒乓球"),
]
ANSWERED_IN_ENGLISH = [
    ("公司的停车许可证每月多少钱？", "parking"),
    ("员工密码至少要有多少个字符？", "passwords"),
    ("冰箱里剩下的食物什么时候会被扔掉？", "kitchen"),
    ("火警响起时员工应该怎么做？", "fire"),
    ("公司的笔记本电脑多少年更换一次？", "laptops"),
    ("访客可以进入实验室吗？", "visitors"),
]
SAME_LANGUAGE = [
    ("年假要提前多久申请？", "年假"),
    ("每晚的酒店住宿标准是多少？", "报销"),
    ("谁可以申请宿舍？", "宿舍"),
    ("What does a parking permit cost?", "parking"),
    ("How often are there fire drills?", "fire"),
    ("When is the dishwasher started?", "kitchen"),
]


class Library:
    """Documents of one chunk each, by name."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.names = list(texts)
        vectors = BundledEmbedder().embed(self.names + list(texts.values()))
        self.segments = {
            name: Segment.build(
                StoredDocument(name, "1.pdf", "kb", name, [StoredPassage(0, text, 0, 1)], vectors[[n, n + len(texts)]])
            )
            for n, (name, text) in enumerate(texts.items())
        }

    def parts(self, names: Sequence[str] | None = None) -> list[Part]:
        chosen = self.names if names is None else names
        return [Part.of(self.segments[name], {0: ReadyDocument(name, "1.pdf")}) for name in chosen]

    def merged(self, path: Path) -> list[Part]:
        """All of it as a base has it, in a file."""
        write(path, [Source.whole(segment) for segment in self.segments.values()])
        return [Part.of(Segment.read(path), {n: ReadyDocument(name, "1.pdf") for n, name in enumerate(self.names)})]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(CHINESE | ENGLISH)


def ranked(question: str, parts: Sequence[Part]) -> Ranking:
    return rank(question, BundledEmbedder().embed([question])[0], parts)


def found(question: str, parts: Sequence[Part]) -> list[str]:
    ranking = ranked(question, parts)
    return [passage.document_id for passage in ranking.passages(ranking.best(20))]


@pytest.mark.parametrize(("question", "answer"), ANSWERED_IN_CHINESE + ANSWERED_IN_ENGLISH + SAME_LANGUAGE)
def test_an_answer_comes_first_whichever_language_it_is_in(library: Library, question: str, answer: str) -> None:
    assert found(question, library.parts())[0] == answer


@pytest.mark.parametrize("texts", [CHINESE, ENGLISH], ids=["Chinese", "English"])
def test_among_documents_of_one_language_words_count_as_they_do_and_no_more(library: Library, texts: dict[str, str]) -> None:
    for question, _ in ANSWERED_IN_CHINESE + ANSWERED_IN_ENGLISH + SAME_LANGUAGE:
        ranking = ranked(question, library.parts(list(texts)))
        scale, scores, similarity = ranking.collection.scale, ranking.matches.scores, ranking.similarity
        top = max(scores[scale].max(), LEXICAL_FLOOR * ranking.matches.weights.sum())
        average = similarity[scale].mean()
        spread = max(similarity[scale].max() - average, DENSE_FLOOR)
        assert np.allclose(ranking.fused, scores / top + DENSE_WEIGHT * (similarity - average) / spread, atol=1e-6)


@pytest.mark.parametrize(("question", "answer"), ANSWERED_IN_CHINESE + ANSWERED_IN_ENGLISH + SAME_LANGUAGE)
def test_few_documents_of_a_language_are_found_among_many_of_the_other(library: Library, question: str, answer: str) -> None:
    others = ENGLISH if answer in CHINESE else CHINESE
    assert found(question, library.parts([*others, answer]))[0] == answer


def test_a_base_in_a_file_ranks_as_its_documents_do(library: Library, tmp_path: Path) -> None:
    merged = library.merged(tmp_path / "a.segment")
    for question, _ in ANSWERED_IN_CHINESE + ANSWERED_IN_ENGLISH + SAME_LANGUAGE:
        assert found(question, merged) == found(question, library.parts())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Saturn V 火箭的推力有多大？", "saturn"),
        ("Which city is the centre of the second largest metropolitan area of Japan, 大阪?", "osaka"),
        ("E1033", "error"),
    ],
)
def test_names_and_numbers_in_another_script_than_the_rest_of_a_question_still_count(question: str, answer: str) -> None:
    library = Library(
        {
            "saturn": "The Saturn V produced 34.5 million newtons of thrust with its five engines.",
            "long march": "长征五号火箭的推力约为一千零六十吨，由两台芯级发动机和四个助推器提供。",
            "shanghai": "上海的歌厅和舞厅在三十年代十分有名，这座城市的文艺生活非常丰富。",
            "osaka": "大阪与东京在金融和贸易方面竞争，是日本第二大都市圈的中心。",
            "city": "Every city competes with other cities for investors and for visitors.",
            "error": "错误代码 E1033 表示磁盘已满，请重新启动设备。",
            "numbers": "1033 4711 0.15 2024",
        }
    )
    assert found(question, library.parts())[0] == answer
