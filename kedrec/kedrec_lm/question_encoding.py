"""From pairs to tokenized questions, with the counterfactual questions of the robustness audits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kedrec.kedrec_lm.chat_encoding import ChatEncoder, Encoded
from kedrec.kedrec_lm.heuristic_baselines import HeuristicBaseline
from kedrec.kedrec_lm.question_builder import QuestionBuilder
from kedrec.kedrec_lm.robustness_audits import Audit, answer_stating_passages, counterfactual_question
from kedrec.splits.pairs import Pair
from kedrec.splits.seeded_split import SPLITS


@dataclass(frozen=True)
class EncodedQuestions:
    """Tokenized questions.

    Attributes:
        by_split: split -> its questions; in both orders those of the test, and of training where both are trained on.
        audited: counterfactual forms of the test questions, and the validation questions in both orders, by which
            confidence is calibrated.
    """

    by_split: dict[str, list[Encoded]]
    audited: list[Encoded]


def encode_questions(
    pairs: Sequence[Pair],
    builder: QuestionBuilder,
    rationales: Mapping[Pair, str],
    baselines: Mapping[str, HeuristicBaseline],
    chat: ChatEncoder,
    audits: Sequence[Audit],
    *,
    both_orders: bool,
) -> EncodedQuestions:
    """Tokenize the questions about some pairs.

    Args:
        pairs: of all splits.
        builder: writes the questions.
        rationales: pair -> the answer's explanation.
        baselines: whose scores the questions carry.
        chat: tokenizes.
        audits: counterfactual forms of each test question.
        both_orders: train on both orders of the two drugs.
    """
    by_split: dict[str, list[Encoded]] = {split: [] for split in SPLITS}
    audited: list[Encoded] = []
    for pair in pairs:
        for swapped in (False, True):
            shown = builder.shown(pair, swapped)
            question = builder.question(pair, swapped, baselines)
            if pair.split == "test":
                names = builder.names(pair, swapped)
                stating = tuple(answer_stating_passages(question, shown, names))
                question = replace(question, answer_stating_passages=stating)
                for audit in audits:
                    if counterfactual := counterfactual_question(audit, question, shown, names):
                        audited.append(chat.encode(*counterfactual, rationales[pair]))
            elif pair.split == "validation":
                audited.append(chat.encode(replace(question, audit="validation"), shown, rationales[pair]))
                if swapped:
                    continue
            elif swapped and not both_orders:
                continue
            by_split[pair.split].append(chat.encode(question, shown, rationales[pair]))
    return EncodedQuestions(by_split, audited)
