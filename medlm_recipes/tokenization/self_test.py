"""Whether the fast encoder does what the Hugging Face tokenizer does, before anything is encoded by it."""

import random
from collections.abc import Iterator

from medlm_recipes.tokenization.encoding import Backend, HuggingFaceEncoder
from medlm_recipes.tokenization.fast import FastEncoder, Unfit, check_merging

_BIOMEDICAL = (
    "BACKGROUND: Immunohistochemistry (IHC) of 1,25-(OH)2D3-treated MCF-7 cells; P<0.001, 95% CI 1.2–3.4.\n"
    "5′-ACGTACGTTTGACCA-3′ (≥ 37 °C, pH 7.4, 10−3 µM NaCl) β-catenin/TGF-β1 α-synuclein\u2009mRNA\u202f±\xa0SD",
    "N-(4-hydroxyphenyl)ethanamide, (2S,5R,6R)-3,3-dimethyl-7-oxo-6-(2-phenylacetamido)-4-thia-1-azabicyclo",
    "# Methods\n\n## Patients' consent\n\nWe've treated 12 patients who'd relapsed; it's n=12.\r\n\r\nThey'll\tdo.",
    "Die Übelkeit, naïve café; Ménière’s disease; 白血病の治療; лейкемия; ابيضاض الدم; σ² = ½·x̄²",
)
_NASTY = (
    "",
    *" \t\n\r\x0b\x0c\x1c\x1d\x85\xa0\u200b\u2028\u3000\ufeff\x00\x7f\ufffd\U0010ffff'",
    *(space * 5 + after for space in (" ", "\n", "\t", "\xa0", "\r\n", " \n") for after in ("", "x", "1", "'s", ".")),
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'VE 'M 'LL 'D 'ſ ’s ''s x'll'd",
    "e\u0301\u0302\u0303 \u0301a\u0301\u20dd a\u200d\u0301 \u1100\u1161\u11a8",
    "👩‍⚕️ 👨🏽‍⚕️🧬🇨🇭 🫀x🫁1 \U0001f9ec\ufe0f",
    "١٢٣ ৪৫ Ⅻ ½ ²³ 𝟘𝟙 12345678901234567890",
    "\ue000\U000e0001\U0001e4d0\U000323b0\u0378",
    "a" * 3_000 + " " + "ACGT" * 1_000 + "-" * 2_000,
)
_PIECES = [
    *" \t\n\r\xa0\u2009'.,;:-<>()[]{}/\\|_%&aesdmltvrSTßéβ中٣½0159\u0301\u200b\x1c\x00🧬",
    "  ",
    "\n\n",
    " the",
    "ing",
]


def fast_encoder(backend: Backend, reference: HuggingFaceEncoder) -> FastEncoder:
    """The fast encoder, found equal to `reference` on texts of every kind. Raises Unfit with the reason."""
    check_merging(backend)
    fast = FastEncoder(backend, reference)
    for text in _texts(reference.special_tokens()[:100]):
        if fast.encode([text]).tolist() != reference.encode([text]).tolist():
            raise Unfit(f"it encodes {text[:40]!r} otherwise")
    return fast


def _texts(special_tokens: list[str]) -> Iterator[str]:
    """Some hundred texts: written ones, spelled special tokens, and random pieces, code points and bytes."""
    yield from _BIOMEDICAL
    yield from _NASTY
    yield from special_tokens
    yield "".join(f"x {token}{token}\n {token}y" for token in special_tokens)
    chance = random.Random(0)  # noqa: S311
    for _ in range(100):
        yield "".join(chance.choices(_PIECES, k=100))
    for _ in range(20):
        yield chance.randbytes(200).decode(errors="replace")
        yield chance.randbytes(100).decode("latin-1")
        yield chance.randbytes(200).decode("utf-16-le", errors="replace")
