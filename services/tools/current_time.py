"""Tells the date and the time: a model does not know them."""

from datetime import UTC, datetime, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, Field

from models.tools import Tool, ToolContext, ToolOutput

WEEKDAYS = (
    ("Monday", "星期一"),
    ("Tuesday", "星期二"),
    ("Wednesday", "星期三"),
    ("Thursday", "星期四"),
    ("Friday", "星期五"),
    ("Saturday", "星期六"),
    ("Sunday", "星期日"),
)


def _zone(name: str) -> tzinfo:
    if name.upper() in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a name such as `America` is a folder
        raise ValueError("not a time zone; use an IANA name such as Asia/Shanghai") from None


def _known(name: str) -> str:
    _zone(name)
    return name


class Arguments(BaseModel):
    timezone: Annotated[str, AfterValidator(_known)] = Field(
        "UTC", max_length=64, description="IANA name of the time zone, such as Asia/Shanghai or Europe/Berlin."
    )


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    now = datetime.now(_zone(args.timezone))
    return ToolOutput(f"{now.isoformat(timespec='seconds')} {' '.join(WEEKDAYS[now.weekday()])} ({args.timezone or 'UTC'})")


TOOL = Tool(
    name="current_time",
    description="Tells the current date, time and day of the week in a time zone.",
    args=Arguments,
    run=run,
)
