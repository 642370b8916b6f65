"""What a JATS article says about itself in its front matter."""

import re
from collections.abc import Mapping
from typing import Any

from medlm_recipes.corpus.jats_formulas import plain_text

_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LICENSE_REF = "{http://www.niso.org/schemas/ali/1.0/}license_ref"

_PMCID = re.compile(r"(?:PMC)?(\d{1,18})(?:\.(\d{1,4}))?", re.IGNORECASE)
_PMCID_IN_NAME = re.compile(r"(?:^|[/_])(PMC\d{1,18}(?:\.\d{1,4})?)\.n?xml", re.IGNORECASE)
_RETRACTED_TITLE = re.compile(
    r"\W*(?:retracted|retraction|withdrawn)(?: article| paper| note| notice)?(?: to)?\s*[:\]]", re.IGNORECASE
)


def article_metadata(article: Any, title: str, name: str) -> dict[str, Any]:
    """Identifiers, journal, year and kind of an `article` element; what is not given is None or empty.

    title: as the text has it. name: of the file, which in PMC's own layouts is the PMCID.
    year: of the earliest date of publication. language: as in xml:lang, whose default by JATS's DTD is en.
    retracted: of retracted articles and of notices of their retraction.
    """
    meta = article.find("front/article-meta")
    journal = article.find("front/journal-meta")
    identifiers = {} if meta is None else _identifiers(meta)
    pmcid, version = _pmcid(identifiers, name)
    pmid = identifiers.get("pmid", "")
    return {
        "pmcid": pmcid,
        "pmid": int(pmid) if pmid.isascii() and pmid.isdigit() and len(pmid) <= 18 else None,
        "doi": identifiers.get("doi") or None,
        "version": version,
        "title": title or None,
        "journal": None if journal is None else plain_text(next(journal.iter("journal-title"), None)) or None,
        "year": None if meta is None else _year(meta),
        "article_type": article.get("article-type"),
        "language": article.get(_LANGUAGE, "en"),
        "license": None if meta is None else _license(meta),
        "retracted": _is_retracted(article, meta, title),
        "subjects": _texts(meta, "article-categories/subj-group[@subj-group-type='heading']/subject"),
        "keywords": _texts(meta, "kwd-group/kwd"),
    }


def article_id(metadata: Mapping[str, Any]) -> str | None:
    """PMCID, DOI or PMID, the first that there is."""
    if metadata["pmcid"]:
        return f"pmcid:{metadata['pmcid']}"
    if metadata["doi"]:
        return f"doi:{metadata['doi'].lower()}"
    return f"pmid:{metadata['pmid']}" if metadata["pmid"] else None


def _identifiers(meta: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in meta.iterfind("article-id"):
        found.setdefault(one.get("pub-id-type", ""), "".join(one.itertext()).strip())
    return found


def _pmcid(identifiers: Mapping[str, str], name: str) -> tuple[str | None, int]:
    """PMCID and version; PMC used to write it as pmc, without its letters, and now writes pmcid and pmcid-ver."""
    in_name = _PMCID_IN_NAME.search(name)
    candidates = [identifiers.get(kind, "") for kind in ("pmcid-ver", "pmcid", "pmc")] + [in_name[1] if in_name else ""]
    matches = [match for one in candidates if (match := _PMCID.fullmatch(one))]
    if not matches:
        return None, 1
    number = matches[0][1]
    return f"PMC{number}", max(int(match[2] or 1) for match in matches if match[1] == number)


def _year(meta: Any) -> int | None:
    years = ["".join(year.itertext()).strip() for year in meta.iterfind("pub-date/year")]
    return min((int(year) for year in years if len(year) == 4 and year.isascii() and year.isdigit()), default=None)


def _license(meta: Any) -> str | None:
    """Its address, or in a word what it is."""
    for one in meta.iterfind("permissions/license"):
        address = one.get(_XLINK_HREF) or plain_text(next(one.iter(_LICENSE_REF), None))
        links = (link.get(_XLINK_HREF, "") for link in one.iter("ext-link"))
        address = address or next((link for link in links if "creativecommons.org" in link), "")
        if address:
            return str(address)
    for one in meta.iterfind("custom-meta-group/custom-meta"):
        if one.findtext("meta-name") == "pmc-license-ref":
            return plain_text(one.find("meta-value")) or None
    kind = meta.find("permissions/license[@license-type]")
    return None if kind is None else str(kind.get("license-type"))


def _is_retracted(article: Any, meta: Any, title: str) -> bool:
    kinds = [article.get("article-type", "")]
    if meta is not None:
        kinds += [one.get("related-article-type", "") for one in meta.iterfind("related-article")]
    return any("retract" in kind for kind in kinds) or bool(_RETRACTED_TITLE.match(title))


def _texts(meta: Any, path: str) -> list[str]:
    return [] if meta is None else [text for one in meta.iterfind(path) if (text := plain_text(one))]
