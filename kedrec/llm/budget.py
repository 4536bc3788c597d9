"""The budget of paid models: no attempt starts that could take the total cost above the bound."""

import math
from dataclasses import dataclass
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.llm.requests import Answer, Prices, Request
from kedrec.storage.append_log import Journal, rows


@dataclass
class Tally:
    """Totals of one model.

    Attributes:
        answers: received.
        prompt_tokens: of their requests.
        completion_tokens: of the answers.
        cost: US dollars.
    """

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class Ledger:
    """Tokens and cost by model, over all runs that share the file.

    Each attempt with a cost is recorded at its largest possible cost before it is made, and at its real cost when the
    answer is stored. An attempt without an answer, because it is in flight, or the network or the process failed, keeps
    its largest possible cost: the server may have charged for it.

    Args:
        path: JSONL of the attempts; created if absent.
        max_cost: bound of the total, US dollars; ``None`` for no bound.

    Raises:
        KedrecError: the bound is negative or infinite, or the file cannot be written.
    """

    def __init__(self, path: Path, max_cost: float | None = None) -> None:
        if max_cost is not None and not 0 <= max_cost < math.inf:
            raise KedrecError(f"max_cost must be 0 or more US dollars, not {max_cost}")
        self.max_cost = max_cost
        self.tallies: dict[str, Tally] = {}
        self._open: dict[int, float] = {}  # attempt: its worst cost
        self._journal = Journal(path)
        self._next = 0
        for _, row in rows(path):
            if "begins" in row:
                self._open[row["begins"]] = row["cost"]
                self._next = max(self._next, row["begins"] + 1)
            else:
                self._add(row["settles"], row["model"], row["prompt_tokens"], row["completion_tokens"], row["cost"])

    @property
    def spent(self) -> float:
        """Cost of the answers, and largest possible cost of attempts without an answer; US dollars."""
        return math.fsum([*(tally.cost for tally in self.tallies.values()), *self._open.values()])

    def fits(self, cost: float) -> bool:
        """Whether another attempt of at most ``cost`` US dollars stays within the bound."""
        return self.max_cost is None or self.spent + cost <= self.max_cost

    def begin(self, model: str, worst: float) -> int:
        """Record an attempt of at most ``worst`` US dollars before it is made; return its number."""
        number, self._next = self._next, self._next + 1
        self._journal.append({"begins": number, "model": model, "cost": worst})
        self._open[number] = worst
        return number

    def settle(self, attempt: int, model: str, answer: Answer, prices: Prices | None) -> None:
        """Record the real cost of an answer; without counts of tokens the largest possible cost stays."""
        if answer.prompt_tokens is None or answer.completion_tokens is None:
            cost = self._open[attempt]
        else:
            cost = prices.cost(answer.prompt_tokens, answer.completion_tokens) if prices else 0.0
        self._write(attempt, model, answer.prompt_tokens or 0, answer.completion_tokens or 0, cost)

    def release(self, attempt: int, model: str) -> None:
        """Record that an attempt was refused by the server, and so cost nothing."""
        del self._open[attempt]
        self._journal.append(
            {"settles": attempt, "model": model, "prompt_tokens": 0, "completion_tokens": 0, "cost": None}
        )

    def count(self, model: str, answer: Answer) -> None:
        """Count the tokens of an answer that was free of charge."""
        self._write(None, model, answer.prompt_tokens or 0, answer.completion_tokens or 0, 0.0)

    def close(self) -> None:
        """Flush to the disk and close."""
        self._journal.close()

    def _write(self, attempt: int | None, model: str, prompt: int, completion: int, cost: float) -> None:
        self._journal.append(
            {
                "settles": attempt,
                "model": model,
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "cost": cost,
            }
        )
        self._add(attempt, model, prompt, completion, cost)

    def _add(self, attempt: int | None, model: str, prompt: int, completion: int, cost: float | None) -> None:
        if attempt is not None:
            self._open.pop(attempt, None)
        if cost is None:  # refused
            return
        tally = self.tallies.setdefault(model, Tally())
        tally.answers += 1
        tally.prompt_tokens += prompt
        tally.completion_tokens += completion
        tally.cost += cost


def worst_cost(request: Request, prices: Prices | None) -> float:
    """Return the largest possible cost of one attempt at a request, US dollars."""
    return prices.cost(request.most_prompt_tokens, request.max_tokens) if prices else 0.0
