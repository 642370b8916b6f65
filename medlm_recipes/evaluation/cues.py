"""Turns of phrase that an answer is stated, praised, doubted or taken back with."""

import re

BE = (
    r"(?:is|was|are|would have been|would be|should be|must be|will be|has to be|remains|becomes|appears to be"
    r"|seems to be)"
)
MARKER = (
    r"(?:therefore|thus|hence|so|consequently|in conclusion|to conclude|in summary|to summarize|overall|accordingly"
    r"|as a result|ultimately|finally|in short|altogether|based on|given)"
)
ANSWER = re.compile(
    r"(?i)(?P<how>(?:\b[a-z'-]+ ){0,5})"
    r"\b(?P<noun>answer|option|choice|response|selection|decision|verdict|conclusion)\b"
    r"(?P<of>(?: (?:choice|option|letter))?(?: [(]?(?:to|for|among|amongst|of|here|in|from|given|based|according"
    r"|that|which|by|with|therefore|then|thus|using|i|we|out|above|below|listed|provided)\b[^.:;\n]{0,140}?"
    r"|, [^.:;,\n]{1,40},)?)??"
    rf"(?:\s*(?:[:=]| - |-(?=\s?[(]?[A-Ja-j]\b))| {BE}\b:?)"
)
ANS = re.compile(r"(?im)^\s*(?:ans\b|answer\b(?=\s*[-(.'\"]))[.:\s-]*(?:is\b)?[:\s-]*")
NOT_THE = re.compile(
    r"(?i)\b(?:another|other|one|possible|potential|alternative|alternate|second|third|wrong|incorrect|false|least"
    r"|worst"
    r"|each|every|this|that|no|any|initial|previous|tempting|student's|unlikely|not|these|those|two|both|multiple|first"
    r"|if|whether|your|his|her|their|common|next best) "
)
GOOD = re.compile(
    r"(?i)\b(?:correct|right|best|appropriate|likely|suitable|accurate|reasonable|probable|plausible|logical|final|my"
    r"|preferred|fitting|remaining|only|selected|chosen|answer) "
)
DECISIVE = re.compile(r"(?i)\b(?:correct|right|best|final) ")
CHOOSE = re.compile(
    r"(?i)\b(?:i|we)(?:'d|'ll)? (?:would |will |should |must |can |therefore |thus |have to |confidently )*"
    r"(?:choose|select|pick|go with|opt for|answer)\b"
)
LEAVES = re.compile(r"(?i)\b(?:leav(?:es|ing) (?:us |me )?(?:with )?|(?:we|i)(?:'re| are|'m| am) left with )(?:only )?")
CONCLUDES = re.compile(rf"(?i)(?:^|[.;,:!\n]\s*|\band )(?:{MARKER})\b(?: [^.:;\n,]{{1,60}},)?[,:]?\s*")
CLOSING = re.compile(rf"(?i)\b(?:{MARKER}|final|actually|instead|correct answer)\b")
BEST = re.compile(r"(?i)\b(?:most|best|first-line|correct|likeliest|treatment of choice)\b")
VERB = re.compile(rf"(?i)\b{BE}\b:?")
PRAISE = (
    r"(?:(?:single |only |next )*(?:most (?:likely|appropriate|probable|suitable|accurate|plausible|reasonable|fitting"
    r"|correct|consistent|logical|compelling|relevant)|answer(?! (?:to|is|would))"
    r"|best(?! (?:known|described|avoided|seen|treated))|likeliest|only correct|correct|right)"
    r"(?! (?:that|in|about|statement|ventric|atri|upper|lower|side|kidney|lung)))"
)
JUDGED = re.compile(
    rf"(?i)\s*,?\s*\b{BE}\s+(?:\w+ly,?\s+|also\s+|by far\s+|thus\s+|indeed\s+)*(?:the |our |my )?"
    rf"(?P<praise>{PRAISE}\b(?: (?!if\b)[\w-]+){{0,4}})"
)
MADE = re.compile(rf"(?i)\s+the (?P<praise>{PRAISE}\b(?: (?!if\b)[\w-]+){{0,4}})")
UNSURE = re.compile(
    r"(?i)(?:\b(?:not|never|whether|unless|doubt|unsure|unlikely|cannot|might|may|could|tempting|tempted|if|suppose"
    r"|assum\w+|originally|initially|previously|than|why"
    r"|(?:students?|people|some|many|others|you)\b[^,;.:\n]{0,40}\b(?:think|say|believe|choose|pick))\b"
    r"|n't\b)[^,;.:\n]{0,60}$"
)
TAKEN_BACK = re.compile(
    r"(?i)\bwait\b\s*[,.!-]|\bhold on\b|\bon second thought|\blet me re-?(?:consider|think|evaluate|check)"
    r"|\bcorrection\s*:"
    r"|\bscratch that|\bi (?:have )?(?:made|was) (?:a |an )?(?:mistake|error|wrong|mistaken)|\bi apologi[sz]e"
    r"|\bactually,? (?:no|that|the|it|option|upon)\b"
    r"|\bupon (?:further|closer) (?:reflection|review|consideration|inspection)"
)
AGAIN = re.compile(
    r"(?im)^\s*(?:(?:question|problem|example|instruction|human|user|input|case|q) ?\d*\s*[:.]"
    r"|you are an? (?:medical|expert)|as an expert|\d+[.)] an? \d+-(?:year|month|day))"
)
AGAINST = re.compile(
    r"(?i)\b(?:not|incorrect|wrong|rul\w+ out|eliminat\w+|unlikely|less|exclu\w+|contraindicat\w+|cannot"
    r"|inappropriate|avoid\w*|than|other)\b|n't\b"
)
ASIDE = re.compile(r"\s*(?:[,(-](?:(?!\b(?:is|are|was|not|but|while|and|or)\b)[^.;:\n]){0,100}?[,)-])")
JOINED = re.compile(r"(?i)(?:\b(?:and|or|nor|neither)|\b[a-j]\)?,|&)\s*(?:option |choice )?$")
MAKING = re.compile(r"(?i)\bmak(?:es|ing) \W*(?:option )?$")
THIS_IS_IT = re.compile(r"(?i)\b(?:this|it|which|option [a-j])\b[^.;\n]{0,20}?" + JUDGED.pattern.removeprefix("(?i)"))
RELATIVE = re.compile(r" (?:choice |option )?(?:that|which)\b")
REASONED = re.compile(r"(?i)\s*(?:based|supported|clear|consistent|because|given|explained)\b")
SMALL_LETTER = re.compile(r"^[a-j](?=\s*[.:,-])")
NOT = re.compile(r"(?i)\bnot\b|n't\b")
IF = re.compile(r"(?i)\bif\b")
MARKED = re.compile(rf"(?i)\W*{MARKER}\b")
IT_IS = re.compile(r"(?i)(?:so |but |and )?it(?:'s| is) ")
SENTENCE_END = re.compile(r"(?<=[a-z0-9)\]][.!?])\s+(?=[A-Z(\"'])|\n+")
ANSWER_NOUN = re.compile(r"(?i)\b(?:answer|option|choice|response|one)\b")
