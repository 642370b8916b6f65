"""PubMed XML to documents, beside pubmed_parser.

    python benchmarks/pubmed_xml.py FOLDER [MEGABYTES] [ROUNDS]

FOLDER holds real pubmed*.xml.gz files. Their records, with new PMIDs, are repeated to MEGABYTES (default
120) of XML in one gzipped file. pubmed_parser goes into a virtual environment of its own, which is
removed afterwards. Then in turn, ROUNDS times (default 5), one process each on one core: pubmed_parser's
parse_medline_xml over the file; this package's reader; and all that prepare_corpus does with the file,
both passes and writing the documents included. Prints the MB of XML a second of processor time of each
(imports left out, decompression not), the medians, and what they are of pubmed_parser's.
"""

import gzip
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEER = "pubmed_parser==0.5.1"

CODE = {
    "pubmed_parser": """
import pubmed_parser
def work():
    return sum(1 for article in pubmed_parser.parse_medline_xml(path) if article["abstract"])
""",
    "reader": """
from medlm_recipes.corpus.document import Document
from medlm_recipes.corpus.pubmed_xml import read_pubmed_xml
def work():
    return sum(isinstance(item, Document) for item in read_pubmed_xml(file, config, {}))
""",
    "both passes, documents written": """
from medlm_recipes.corpus.pubmed_revisions import out_of_date, scan
from medlm_recipes.corpus.writing import Task, write_task
def work():
    [leave_out] = out_of_date([scan(file.path)])
    return write_task(Task(0, (file,), Path(path).with_name("out"), config, leave_out)).tally.written
""",
}
SHARED_CODE = """
from pathlib import Path
from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.inputs import InputFile
file, config = InputFile(Path(path), "a"), CorpusConfig(format="pubmed_xml", inputs=[path], out="out")
"""
CLOCK = """
import time
begin = time.process_time()
found = work()
print(found, time.process_time() - begin)
"""


def make_file(folder: Path, out: Path, megabytes: int) -> int:
    """Write the file; returns the bytes of its XML."""
    records: list[bytes] = []
    head = b""
    for path in sorted(folder.glob("*.xml.gz")):
        content = gzip.decompress(path.read_bytes())
        first, last = content.index(b"<PubmedArticle>"), content.rindex(b"</PubmedArticle>") + len(b"</PubmedArticle>")
        head = head or content[:first]
        records += [b"<PubmedArticle>" + one for one in content[first:last].split(b"<PubmedArticle>")[1:]]
    if not records:
        sys.exit(f"{folder}: no *.xml.gz with records of PubMed")
    pmid = re.compile(rb"(<PMID[^>]*>)\d+")
    size = number = 0
    with gzip.open(out, "wb", compresslevel=6) as stream:
        size += stream.write(head)
        while size < megabytes * 1_000_000:
            for record in records:
                number += 1
                size += stream.write(pmid.sub(rb"\g<1>%d" % number, record, count=1))
        size += stream.write(b"</PubmedArticleSet>\n")
    print(f"{size / 1e6:.0f} MB of XML, {number:,} records made of {len(records)} real ones")
    return size


def measure(name: str, python: Path | str, path: Path) -> tuple[int, float]:
    """Documents and processor seconds of one run."""
    ours = "" if name == "pubmed_parser" else SHARED_CODE
    code = f"path = {str(path)!r}\n{ours}{CODE[name]}{CLOCK}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([python, "-c", code], env=environment, check=True, capture_output=True, text=True)
    found, seconds = answer.stdout.split()
    return int(found), float(seconds)


def main(folder: Path, megabytes: int = 120, rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pubmed21n0001.xml.gz"
        size = make_file(folder, path, megabytes)
        venv = Path(name) / "venv"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "--quiet", PEER], check=True, stderr=subprocess.DEVNULL)
        seconds: dict[str, list[float]] = {one: [] for one in CODE}
        for _ in range(rounds):
            for one in CODE:
                documents, took = measure(one, venv / "bin/python" if one == "pubmed_parser" else sys.executable, path)
                seconds[one].append(took)
                print(f"{one:<32}{documents:>8,} documents {took:8.2f} s {size / took / 1e6:8.1f} MB/s", flush=True)
        peer = statistics.median(seconds["pubmed_parser"])
        for one, took in seconds.items():
            median = statistics.median(took)
            print(f"median {one:<32}{size / median / 1e6:8.1f} MB/s {peer / median:6.2f} x {PEER}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
