"""Searches what was uploaded to the session."""

from pydantic import BaseModel, Field

from models.tools import Tool, ToolContext, ToolOutput

NO_DOCUMENTS = {"en": "no document of this session can be searched yet", "zh": "本会话还没有可以搜索的文档"}
NOTHING_FOUND = {"en": "Nothing in the documents fits this query.", "zh": "文档中没有与该查询相符的内容。"}


class Arguments(BaseModel):
    query: str = Field(
        min_length=1, max_length=1_000, description="What to look for: a question or key words, in the language of the user."
    )


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    passages = await context.search(args.query)
    return ToolOutput("", tuple(passages)) if passages else ToolOutput(NOTHING_FOUND[context.language])


TOOL = Tool(
    name="search_documents",
    description="Searches the documents that the user uploaded and returns the passages that fit best, with file and page.",
    args=Arguments,
    run=run,
    missing=lambda context: None if context.documents else NO_DOCUMENTS[context.language],
)
