"""What a question asks of documents, told by simple rules, Chinese and English: for answers without a language model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from models.question_names import MASK, Named
from models.question_pages import without_pages
from models.question_parts import EDGES, split
from models.quoting import terms
from utils.chinese import simplified

Kind = Literal["search", "about", "pages", "compare", "list", "greeting", "thanks"]
FEW = 4  # documents, at most, that "compare them" can mean

SUMMARISE = re.compile(
    r"总结|概括|概述|摘要|归纳|简述|大意|要点|\bsummar\w*|\boverview|\b(?:main|key) (?:points?|ideas?)|\bgist\b|tl;?dr",
    re.IGNORECASE,
)
OVERVIEW = re.compile(
    rf"{SUMMARISE.pattern}|主要内容|什么内容|内容(?:是|有|包括)|(?:讲|说|写|谈|介绍|关于)[了着到]?(?:的是)?[些]?什么"
    r"|目录|大纲|(?:有|分)(?:哪些|哪几|几)(?:章|节|部分)|\btable of contents\b"
    r"|\boutline|\babout\b"
    r"|what(?:'s| is| does| do)\s+(?:(?:written|it|they|this|that|these|those|the|all"
    rf"|documents?|files?|pdfs?|papers?|reports?|{MASK}+)\s+)*(?:say|in|contain)\b",
    re.IGNORECASE,
)
_COMPARE = re.compile(
    r"比较|对比|相比|区别|差异|差别|异同|不同|不一样|\bcompar\w*|\bcontrast\w*|\bdiffer\w*|\bversus\b|\bvs\b", re.IGNORECASE
)
_THEM = re.compile(
    r"[这那]?\s*(?P<zh>[两二三四几些])\s*[个份篇]?\s*(?:文档|文件|材料|资料|合同|协议|报告|制度|办法|手册|方案|版本?|者)"
    r"|[这那]些|它们|各[个份]?文[档件]"
    r"|\b(?:(?:both|the|these|those|all)\s+)*(?P<en>two|three|four|both)\s+(?:\w+s|of\s+them)\b"
    r"|\b(?:(?:the|these|those|all)\s+)*(?:documents|files)\b|\b(?:both|them)\b",
    re.IGNORECASE,
)
_COUNTS = {"两": 2, "二": 2, "三": 3, "四": 4, "two": 2, "both": 2, "three": 3, "four": 4}
_LIST = re.compile(
    r"(?:有|包含|包括|上传了?|存了?|收录了?|列出|列举)\s*(?:所有的?|全部的?|一下|哪些|什么|几[个份篇]|多少[个份篇]?)*\s*"
    r"(?:文件|文档|资料|材料|附件)|(?:文件|文档|资料)(?:的?清单|列表|名单|有哪些|有几|有多少)"
    r"|\b(?:which|what|how\s+many)\s+(?:files|documents|docs)\b|\blist\b.*\b(?:files|documents|docs)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"(?:这个|该|本)?\w{0,12}?库|会话|对话|这里|里面|现在|目前|系统|\bknowledge\s+bases?\b|\bconversation\b|\bsession\b"
)
_LIST_FILLER = re.compile(
    r"所有|全部|哪些|多少|几|个|有|列出|列举|清单|列表|名单|\b(?:which|how|many|list|there|here|have|has|i|my|we|our|docs|got"
    r"|names?|available|searched?|show|now|base|knowledge)\b",
    re.IGNORECASE,
)
_GREETING = (
    r"你好|您好|大家好|嗨|哈喽|早上好|早安|上午好|中午好|下午好|晚上好|在吗|再见|拜拜|好的|你是谁|你叫什么(?:名字)?"
    r"|你(?:能|会|可以)(?:帮我)?(?:做|干)(?:些|点)?什么|帮助|怎么(?:使)?用"
    r"|\b(?:hi|hello|hey|there|good\s+(?:morning|afternoon|evening)|(?:good)?bye|who\s+are\s+you|what\s+can\s+you\s+do(?:\s+for\s+me)?"
    r"|how\s+are\s+you|help|ok(?:ay)?)\b"
)
_THANKS = (
    r"非常感谢|感谢|谢谢|多谢|谢了|辛苦了"
    r"|\b(?:many\s+)?(?:thanks|thank\s+you|thx|cheers)(?:\s+(?:a\s+lot|so\s+much|very\s+much))?\b"
)
_TALK = re.compile(rf"(?:(?:{_GREETING}|(?P<thanks>{_THANKS}))(?:你|您|啊|呀|呢|了|啦)*\W*)+", re.IGNORECASE)
# words that say what to do with documents, not what to look for in them
_FILLER = re.compile(
    r"请|帮我|麻烦|能否|可以|给我|我想知道|告诉我|一下|主要|内容|简要|简单|重点|中心|思想|分别|之间|各自|相同|点"
    r"|[这那两三四几]?[个份篇本些](?=文|材|资|报|附|$)|文档|文件|材料|资料|报告|附件|全文|上传的?|里面|里|中|上|它们|它"
    r"|[讲说写谈][了着到]?[些]?什么|关于什么|有[些]?什么|有何|有哪些|哪些|是什么|什么|包括|提到|地方|之处"
    r"|[讲说写谈有是的了在和与及跟都吗呢吧]"
    r"|\b(?:please|can|could|would|you|me|us|give|tell|show|what|what's|whats|is|are|was|does|do|did|this|that|these|those|the"
    r"|all|an?|of|about|uploaded|attached|documents?|files?|pdfs?|papers?|texts?|reports?|attachments?|contents?|main|key"
    r"|points?|ideas?|it|its|they|them|says?|said|contains?|in|on|for|from|describe|explain|between|and|with|both|two|how"
    r"|written|stands?|short|brief|briefly|quick|quickly|whole|entire)\b",
    re.IGNORECASE,
)
# names, and what ties them to their sentence
_JOIN = r"\s*(?:[、,，&]|和|与|跟|及|同|以及|vs\.?|and|or|versus|of)?\s*"
_NAMES = re.compile(
    rf"(?:[在从就]|(?:\b(?:in|of|from|within|between|on|per|according\s+to)\s+)(?:the\s+)?)?{MASK}+(?:{_JOIN}{MASK}+)*"
    r"(?:版本?|这[两些三四][个份篇]?(?:文件|文档|版本)?)?(?:(?:之间|当中|里面|中的|里的|里|中|内|上)?(?:的|对于?|关于|在)?|'s\b)",
    re.IGNORECASE,
)
_SAYS = re.compile(
    rf"\b(?:what|how)\s+(?:do|does|did)\s+(?:the\s+)?{MASK}+(?:{_JOIN}{MASK}+)*\s*(?:say|state|contain|mention|tell\s+us)?"
    r"(?:\s+(?:about|on|of|regarding))?\b",
    re.IGNORECASE,
)
_DIFFERENCE = re.compile(
    r"请?(?:帮我)?(?:比较|对比)一?下?|相比|(?:之间)?(?:的|有)?(?:什么|何|哪些|哪里|主要)*的?(?:区别|差异|差别|异同|不同|不一样)(?:之处|点|的地方)?"
    r"(?:是什么|有哪些|在哪里?|吗)?"
    r"|\bwhat(?:'s|\s+is|\s+are)\s+(?:the\s+)?(?:main\s+)?differen\w*|\bhow\s+(?:do|does|did)\b(?=.*\b(?:differ|compare))"
    r"|\b(?:compar\w*|contrast\w*|differ\w*|versus|vs)\b",
    re.IGNORECASE,
)
_LEADING = re.compile(
    r"^(?:请问?|帮我|麻烦|的(?!士)|关于|对于|里面?|中(?=的)|其中"
    r"|(?:and|with|on|in|of|for|about|regarding|concerning|between|the|respect|to|as|does|do|both|from)\b)\s*",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    r"\s*(?:方面|的?地方|各?有什么|各?有哪些|有何|是什么|有|的|分别|各自|\b(?:and|with|on|in|of|for|about|between|from|the|to))$",
    re.IGNORECASE,
)
_ASPECT = re.compile(r"^在(.+?)(?:的?方面|上)(?:的|有|$)?")
# where the name of a document may stand, though no extension and no quotation marks show it
_PLACES = re.compile(
    r"[《「『]|根据|按照|依照|依据|参照|[\u3400-\u9fff]{2}(?:里|中|内|规定)|\baccording\s+to\b|\b(?:in|from)\s+the\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done. `topic` is what to look for, empty when it is the documents as a whole.

    `documents` are the names that the question mentions, `parts` those of a compound question (none when it is not),
    `pages` the first and the last page; below 0 they count from the end. `short`: pages are to be summarised.
    """

    kind: Kind
    topic: str
    documents: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    pages: tuple[int, int] | None = None
    short: bool = False


def understood(question: str, known: Sequence[str]) -> Wish:
    """What a question asks for, where the documents with the `known` names are searched."""
    if talk := _TALK.fullmatch(simplified(question).strip()):
        return Wish("thanks" if talk["thanks"] else "greeting", "")
    named = Named(simplified(question), known)
    named.take_whole()
    named.text, pages = without_pages(named.text, MASK)
    compares = bool(_COMPARE.search(named.text))
    if pages or compares or OVERVIEW.search(named.text):
        named.take_words()
        if compares and len(named.names) < 2:
            named.take_pieces()
    named.take_places()
    if pages and not named.names:
        named.take_part()
    return _as_written(_wish(named, pages, known), named.question, question, known)


def asks_by_name(question: str) -> bool:
    """Whether a question may mean certain documents: whether their names help to understand it."""
    named = Named(simplified(question), ())
    named.take_whole()
    rest, pages = without_pages(named.text, MASK)
    signs = (OVERVIEW, _COMPARE, _THEM, _PLACES)
    return bool(named.names or pages or any(sign.search(rest) for sign in signs))


def _wish(named: Named, pages: tuple[int, int] | None, known: Sequence[str]) -> Wish:
    rest, names = named.text, tuple(named.names)
    compares = bool(_COMPARE.search(rest))
    topic = _topic(rest, compares)
    if pages:
        short = not topic and (pages[0] != pages[1] or bool(SUMMARISE.search(rest)))
        return Wish("pages", topic, names, pages=pages, short=short)
    if not names and _LIST.search(rest) and not _says_more(_LIST_FILLER.sub(" ", _PLACE.sub(" ", rest))):
        return Wish("list", "")
    if not topic and (names or OVERVIEW.search(rest)):
        return Wish("about", "", names)
    if compares and len(names) < 2:
        names = _them(rest, known) or names
    if len(names) > 1:
        return Wish("compare" if topic else "about", topic, names)
    if names:
        return Wish("search", topic, names, tuple(split(_clean(_NAMES.sub(" ", rest)))))
    return Wish("search", named.question.strip(), names, tuple(split(rest)))


def _them(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """The documents that "them" or "the two documents" can mean, when there are just as many."""
    match = _THEM.search(text)
    if not match or not 2 <= len(known) <= FEW:
        return ()
    count = _COUNTS.get((match["zh"] or match["en"] or "").lower(), len(known))
    return tuple(known) if count == len(known) else ()


def _as_written(wish: Wish, text: str, question: str, known: Sequence[str]) -> Wish:
    """The wish with its words as the question has them, of which `text` is the Simplified form."""
    if text == question:
        return wish

    def written(part: str) -> str:
        at = text.find(part)
        return question[at : at + len(part)] if at >= 0 else part

    names = tuple(name if name in known else written(name) for name in wish.documents)
    return replace(wish, topic=written(wish.topic), parts=tuple(map(written, wish.parts)), documents=names)


def _says_more(text: str) -> bool:
    """Whether there is anything in a text but words that say what to do."""
    return bool(terms(_FILLER.sub(" ", OVERVIEW.sub(" ", text))))


def _topic(text: str, compares: bool) -> str:
    """What to look for: the text without the words that say what to do. Empty when nothing remains."""
    bare = _COMPARE.sub(" ", _THEM.sub(" ", text)) if compares else text
    if not _says_more(bare):
        return ""
    text = _NAMES.sub(" ", _SAYS.sub(" ", text))
    if compares:
        text = _DIFFERENCE.sub(" ", _THEM.sub(" ", text))
    else:
        text = re.sub(rf"^\W*(?:请|帮我)*(?:{SUMMARISE.pattern})(?:一下)?(?:of\b|the\b|\s)*", "", text, flags=re.IGNORECASE)
    return _phrase(text)


def _phrase(text: str) -> str:
    """A text without what hangs over at its ends when words before and behind it were taken out."""
    text, before = _clean(text), ""
    while text != before:
        before = text
        text = _clean(_TRAILING.sub("", _LEADING.sub("", _ASPECT.sub(r"\1", text))))
    return text


def _clean(text: str) -> str:
    return " ".join(text.strip(EDGES).split())
