"""Reads one web page."""

from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from models.tools import Tool, ToolContext, ToolOutput
from utils.errors import UpstreamError
from utils.web_pages import read_page
from utils.web_utils import MAX_URL_CHARS, fetch


class Arguments(BaseModel):
    url: str = Field(max_length=MAX_URL_CHARS, description="Address of the page, beginning with http:// or https://.")


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    fetched = await fetch(args.url, context.settings)
    if fetched.status >= 400:
        raise UpstreamError(upstream=f"{urlsplit(fetched.url).hostname}, HTTP {fetched.status}")
    if fetched.media_type == "application/pdf":
        return ToolOutput(
            f"{fetched.url} is a PDF file, which this tool cannot read. The user can upload it to the conversation."
        )
    page = await read_page(fetched)
    if not page.text:
        return ToolOutput(f"{page.url} holds no text that can be read without running its scripts.")
    head = "\n".join(filter(None, (page.title, page.url)))
    return ToolOutput(f"{head}\n\n{page.text}"[: context.settings.TOOL_RESULT_CHARS])


TOOL = Tool(
    name="visit_url",
    description="Opens one web page and returns its title and text.",
    args=Arguments,
    run=run,
    cacheable=True,
)
