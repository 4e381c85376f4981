"""What the doctor says of one thing: a verdict and a remedy, for people and for machines."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Part = Literal["camera", "server", "clock", "disk", "models"]
State = Literal["good", "warning", "bad"]
Words = tuple[str, str]
"""The same said in Chinese and in English."""

PARTS: dict[Part, str] = {
    "camera": "摄像机",
    "server": "服务器",
    "clock": "时钟",
    "disk": "磁盘",
    "models": "模型",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    part: Part
    subject: str
    state: State
    said: Words
    remedy: Words | None = None
    """What to do; ``None`` if nothing is to be done."""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``, a line each."""
        remedy = None if self.remedy is None else {"zh": self.remedy[0], "en": self.remedy[1]}
        return {
            "part": self.part,
            "subject": self.subject,
            "state": self.state,
            "said": {"zh": self.said[0], "en": self.said[1]},
            "remedy": remedy,
        }

    def as_text(self) -> str:
        """For people."""
        mark = {"good": "✓", "warning": "!", "bad": "✗"}[self.state]
        subject = f" {self.subject}" if self.subject else ""
        lines = [
            f"{mark} {PARTS[self.part]}{subject}：{self.said[0]}",
            f"  {self.part}{subject}: {self.said[1]}",
        ]
        if self.remedy is not None:
            lines += [f"  → 处理：{self.remedy[0]}", f"  → remedy: {self.remedy[1]}"]
        return "\n".join(lines)


def worst(findings: Iterable[Finding]) -> State:
    """The gravest state of all."""
    order: tuple[State, ...] = ("good", "warning", "bad")
    return max((finding.state for finding in findings), key=order.index, default="good")
