"""What a server's answer means for each passage that was sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from checkpoint_agent.errors import ServerUnavailable
from server.wire import Receipt


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of each passage of a batch; each id stands in exactly one place."""

    accepted: tuple[str, ...]
    duplicate: tuple[str, ...]
    rejected: dict[str, str]
    """Id → reason."""
    kept: tuple[str, ...]
    """No answer, or two that contradict each other."""

    def by_name(self: Self) -> dict[str, tuple[str, ...]]:
        """Outcome → ids."""
        return {
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "rejected": tuple(self.rejected),
            "kept": self.kept,
        }


def judge(answer: bytes, sent: Sequence[str]) -> Verdict:
    """The fate of what was sent, from the body of a 2xx answer.

    Args:
        answer: The body, which should be a receipt.
        sent: Ids of the passages, lower-case.

    Raises:
        ServerUnavailable: if the body is no receipt.
    """
    try:
        receipt = Receipt.model_validate_json(answer)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ServerUnavailable(f"the answer is no receipt: {fault['msg']}") from None
    outcomes: dict[str, set[str]] = {}
    reasons: dict[str, str] = {}
    for result in receipt.results:
        name = result.passage_id.lower()
        outcomes.setdefault(name, set()).add(result.outcome)
        reasons[name] = result.reason or "no reason given"
    fate: dict[str, list[str]] = {"accepted": [], "duplicate": [], "rejected": [], "kept": []}
    for name in sent:
        said = outcomes.get(name, set())
        if said and said <= {"accepted", "duplicate"}:
            fate["accepted" if "accepted" in said else "duplicate"].append(name)
        else:
            fate["rejected" if said == {"rejected"} else "kept"].append(name)
    return Verdict(
        accepted=tuple(fate["accepted"]),
        duplicate=tuple(fate["duplicate"]),
        rejected={name: reasons[name] for name in fate["rejected"]},
        kept=tuple(fate["kept"]),
    )
