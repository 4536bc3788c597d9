"""A teacher that points at the first passage that names the relevant drug."""

from kedrec.kedrec_lm.rationale_teachers import DirectTeacher


class PointingTeacher(DirectTeacher):
    def __init__(self, verb: str = "treats"):
        self.verb = verb

    @property
    def identity(self):
        return {"teacher": "PointingTeacher", "version": 1, "verb": self.verb}

    def explain(self, case):
        disease, drug = case.names[case.disease][0], case.names[case.relevant][0]
        naming = [one.id for one in case.evidence if drug.lower() in " ".join(one.sentences).lower()]
        return f"{drug} {self.verb} {disease}" + (f" [{naming[0]}]." if naming else ".")
