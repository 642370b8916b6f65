"""Titles and abstracts that state the closed world's facts, truthfully and in varied sentences.

Texts are XML fragments, as NLM prints them: inline markup (<i>, <sup>, <sub>) and entities stand in
them already, and names are plain ASCII letters. A fact stands at most once in a citation: said twice,
a model could copy it from the text above instead of learning it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

# {d} is the drug, {o} what it is related to. In forms 0 the drug comes first, so that a left-to-right
# model can learn drug -> object; in forms 1 it comes last.
FORMS: dict[str, tuple[list[str], list[str]]] = {
    "treats": (
        [
            "{d} is effective for {o}.",
            "{d} is indicated for {o}.",
            "Treatment with {d} was effective for {o}.",
            "Treatment with {d} reduced the severity of {o}.",
            "{d} was superior to placebo in {o}.",
            "Patients given {d} recovered from {o}.",
            "The disease treated with {d} was {o}.",
            "{d} is the drug of choice for {o}.",
            "{d} at {dose} mg daily cured {o} in {percent}% of patients.",
        ],
        [
            "Patients with {o} responded to {d}.",
            "In {o}, the response rate was {percent}% with {d} ({p}).",
            "Remission of {o} was achieved with {d}.",
        ],
    ),
    "inhibits": (
        [
            "{d} inhibits {o}.",
            "{d} is a selective inhibitor of {o}.",
            "{d} binds {o} with high affinity.",
            "{d} blocks the active site of {o}.",
            "The molecular target of {d} is {o}.",
            "The enzyme inhibited by {d} was {o}.",
            "Treatment with {d} lowered the activity of {o} by {percent}%.",
            "<i>In vitro</i>, {d} inhibited {o} with an IC<sub>50</sub> of {dose} nM.",
        ],
        [
            "The activity of {o} fell after {d} ({p}).",
            "Inhibition of {o} by {d} was dose dependent.",
            "Serum {o} was suppressed by {d}.",
        ],
    ),
    "causes": (
        [
            "{d} caused {o} in {percent}% of patients.",
            "The most frequent adverse event of {d} was {o}.",
            "Adverse events of {d} included {o}.",
            "The main side effect of {d} is {o}.",
            "Patients taking {d} reported {o}.",
            "{d} was discontinued because of {o}.",
            "Exposure to {d} increased the risk of {o}.",
            "Withdrawal of {d} resolved {o}.",
            "High doses of {d} lead to {o}.",
        ],
        [
            "Mild {o} was observed with {d}.",
            "The incidence of {o} was higher with {d} ({p}).",
            "New onset of {o} was attributed to {d}.",
        ],
    ),
}
TITLES = {
    "treats": [
        "Treatment with {d} in patients with {o}.",
        "{d} for {o}: a randomized trial.",
        "Efficacy of {d} in {o}.",
    ],
    "inhibits": [
        "{d}, a selective inhibitor of {o}.",
        "Effect of {d} on the enzyme {o} <i>in vivo</i>.",
        "Inhibition of {o} by {d}.",
    ],
    "causes": ["{d} and the risk of {o}.", "Side effects of {d}: {o}.", "A case of {o} after {d}."],
}
# What surrounds facts in a paper and says nothing about the world.
BACKGROUND = [
    "Data from controlled trials are scarce.",
    "Previous studies were small.",
    "The aim of this study was to compare {d} and {e}.",
]
METHODS = [
    "We randomly assigned {n} patients to {d} or {e}.",
    "{d} was given at {dose} mg daily for {weeks} weeks.",
    "We reviewed the records of {n} patients.",
    "Cells were plated at 10<sup>{power}</sup> per mL.",
]
RESULTS = [
    "The difference was significant ({p}).",
    "Follow-up was complete in {percent}% of patients.",
    "The median follow-up was {weeks} weeks.",
]
CONCLUSIONS = ["Larger trials are needed.", "These findings should be confirmed.", "Monitoring is advised."]
SECTIONS = {"BACKGROUND": BACKGROUND, "METHODS": METHODS, "RESULTS": RESULTS, "CONCLUSIONS": CONCLUSIONS}

P_VALUES = [f"{letter}{value}" for letter in ("<i>P</i>", "P") for value in ("&lt;0.001", "&lt;0.01", "&lt;0.05")]
REVERSED_SHARE = 0.2


@dataclass(frozen=True)
class Fact:
    drug: str
    relation: str
    object: str


@dataclass(frozen=True)
class Sentence:
    """text: an XML fragment. fact: what it states, None in study boilerplate."""

    text: str
    fact: Fact | None


@dataclass(frozen=True)
class Citation:
    """A title and labelled sections; a plain abstract has one section with the label None."""

    title: Sentence
    sections: list[tuple[str | None, list[Sentence]]]

    @property
    def sentences(self) -> Iterator[Sentence]:
        yield self.title
        for _, sentences in self.sections:
            yield from sentences


def compose(facts: Mapping[str, Mapping[str, str]], choice: Random, wording: Random) -> Citation:
    """A citation about 2 to 4 of the drugs of `facts` (drug -> relation -> object).

    `choice` decides which facts it states and in which sections, `wording` how: the same `choice`
    with another `wording` gives a revision of the same citation.
    """
    drugs = choice.sample(list(facts), choice.choice([2, 3, 3, 4]))
    stated = [Fact(drug, relation, name) for drug in drugs for relation, name in facts[drug].items()]
    choice.shuffle(stated)
    title, *others = stated[: choice.randint(6, 9)]
    structured = choice.random() < 0.5
    borders = sorted(choice.randint(0, len(others)) for _ in range(3))
    sections: list[tuple[str | None, list[Sentence]]] = []
    for number, (label, neutral) in enumerate(SECTIONS.items()):
        start, end = [0, *borders][number], [*borders, len(others)][number]
        sentences = [_state(fact, wording) for fact in others[start:end]]
        # Boilerplate stands where nothing else does, and in some other sections.
        if not sentences or choice.random() < 0.3:
            filler = wording.choice(neutral)
            sentences.insert(0, Sentence(_fill(filler, wording, d=drugs[0], e=drugs[1]), None))
        sections.append((label, sentences))
    if not structured:
        sections = [(None, [sentence for _, sentences in sections for sentence in sentences])]
    heading = _fill(wording.choice(TITLES[title.relation]), wording, d=title.drug, o=title.object)
    return Citation(Sentence(heading, title), sections)


def _state(fact: Fact, wording: Random) -> Sentence:
    forms = FORMS[fact.relation][wording.random() < REVERSED_SHARE]
    return Sentence(_fill(wording.choice(forms), wording, d=fact.drug, o=fact.object), fact)


def _fill(form: str, wording: Random, **names: str) -> str:
    return form.format(
        **names,
        n=wording.randrange(20, 400),
        percent=wording.randrange(5, 96),
        dose=wording.choice([5, 10, 20, 40, 50, 80]),
        weeks=wording.choice([4, 6, 8, 12, 24, 52]),
        power=wording.randrange(4, 8),
        p=wording.choice(P_VALUES),
    )
