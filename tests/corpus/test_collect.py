from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given, strategies as st

from distill.corpus.collect import collect_corpus, split_documents
from distill.corpus.documents import read_documents, uncleaned_texts
from distill.corpus.formats import READERS, Row, Tally, register_format
from distill.corpus.overlap import Passages
from distill.recipe import CorpusSection
from distill.recipe.formats import FORMATS
from distill.report.results.corpus import CorpusResult
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from tests.conftest import swedish_sentences

Make = Callable[..., CorpusResult]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Runs the stage into `tmp_path / name`; sources are paths below `tmp_path`, or whole
    dictionaries.
    """

    def make(
        *sources: str | dict[str, Any],
        name: str = "corpus",
        seed: int = 0,
        language: str | list[str] | None = None,
        without: Passages | None = None,
        **section: Any,
    ) -> CorpusResult:
        (tmp_path / name).mkdir()
        given = [
            {"path": str(tmp_path / source)} if isinstance(source, str) else source
            for source in sources
        ]
        corpus = CorpusSection.model_validate({"sources": given, **section})
        return collect_corpus(
            corpus,
            language=language,
            seed=seed,
            output=tmp_path / name,
            progress=Progress(quiet=True),
            without=without,
        )

    return make


def write_jsonl(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def write_film(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n\n", encoding="utf-8")


def split(folder: Path) -> dict[str, list[str]]:
    return {
        side: sorted(document.text for document in read_documents(folder / f"{side}.jsonl"))
        for side in ("train", "heldout")
    }


def test_every_document_is_on_one_side_and_cleaned(make: Make, tmp_path: Path) -> None:
    texts = swedish_sentences(50)
    write_jsonl(tmp_path / "a.jsonl", [text.replace(" ", "  \u00ad") for text in texts])
    result = make("a.jsonl", heldout=0.2, min_characters=1)
    sides = split(tmp_path / "corpus")
    assert sorted(sides["train"] + sides["heldout"]) == sorted(texts)
    assert (result.documents, result.heldout_documents, len(sides["heldout"])) == (50, 10, 10)
    assert result.bytes == sum(len(text.encode()) for text in texts)
    assert result.words == sum(len(text.split()) for text in texts)


def test_a_held_out_document_keeps_its_text_before_cleaning_where_that_differs(
    make: Make, tmp_path: Path
) -> None:
    texts = swedish_sentences(50)
    given = {text: text.replace("e", "e\u00ad") if i % 2 else text for i, text in enumerate(texts)}
    write_jsonl(tmp_path / "a.jsonl", list(given.values()))
    make("a.jsonl", heldout=0.4, min_characters=1)
    heldout = list(read_documents(tmp_path / "corpus" / "heldout.jsonl"))
    assert {document.text for document in heldout if document.uncleaned is None}
    assert all(
        document.uncleaned
        == (None if given[document.text] == document.text else given[document.text])
        for document in heldout
    )
    assert sorted(uncleaned_texts(tmp_path / "corpus" / "heldout.jsonl")) == sorted(
        given[document.text] for document in heldout
    )
    train = read_documents(tmp_path / "corpus" / "train.jsonl")
    assert all(document.uncleaned is None for document in train)


def test_where_cleaning_changes_nothing_there_is_no_text_before_it(
    make: Make, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "a.jsonl", swedish_sentences(50))
    make("a.jsonl", heldout=0.4, min_characters=1)
    assert not list(uncleaned_texts(tmp_path / "corpus" / "heldout.jsonl"))


def test_both_texts_of_a_pair_are_kept_apart_and_cleaned(make: Make, tmp_path: Path) -> None:
    rows = [{"q": f"Hur\u00ad många  är {i}?", "a": f"Det är {i}.\nInte fler."} for i in range(50)]
    rows += [{"q": "Utan svar?", "a": None}, {"q": "", "a": "Utan fråga."}]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = make({"path": str(file), "column": "q", "text_pair": "a"})
    pairs = [
        document.pair
        for name in ("train", "heldout")
        for document in read_documents(tmp_path / "corpus" / f"{name}.jsonl")
    ]
    assert sorted(pair for pair in pairs if pair) == sorted(
        (f"Hur många är {i}?", f"Det är {i}.\nInte fler.") for i in range(50)
    )
    assert result.dropped["half a pair"] == 2


def test_pairs_beside_much_other_text_are_held_out_too(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "texts.jsonl", swedish_sentences(200))
    rows = [{"q": f"Vilket år var {i}?", "a": str(1900 + i)} for i in range(6)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "pairs.jsonl").write_text(lines, encoding="utf-8")
    pairs = {"path": str(tmp_path / "pairs.jsonl"), "column": "q", "text_pair": "a"}
    make("texts.jsonl", pairs, heldout=0.01, min_characters=5)
    for name, count in (("train", 5), ("heldout", 1)):
        documents = read_documents(tmp_path / "corpus" / f"{name}.jsonl")
        assert sum(document.pair is not None for document in documents) == count


def test_a_source_without_any_whole_pair_is_told(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "texts.jsonl", swedish_sentences(200))
    (tmp_path / "pairs.jsonl").write_text('{"q": "Vad?", "a": " "}\n' * 9, encoding="utf-8")
    pairs = {"path": str(tmp_path / "pairs.jsonl"), "column": "q", "text_pair": "a"}
    with pytest.raises(UserError, match=r"no document of pairs in .* survives cleaning"):
        make("texts.jsonl", pairs)


def test_pairs_that_part_the_same_text_elsewhere_are_two(make: Make, tmp_path: Path) -> None:
    rows = [{"q": "en hund", "a": "springer bort"}, {"q": "en hund springer", "a": "bort"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "pairs.jsonl").write_text(lines, encoding="utf-8")
    pairs = {"path": str(tmp_path / "pairs.jsonl"), "column": "q", "text_pair": "a"}
    assert make(pairs, min_characters=5).documents == 2


def test_lone_surrogates_of_text_before_cleaning_are_left_out(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [f"{text} \ud800!" for text in swedish_sentences(20)])
    make("a.jsonl", heldout=0.4, min_characters=1)
    texts = list(uncleaned_texts(tmp_path / "corpus" / "heldout.jsonl"))
    assert len(texts) == 8 and all(text.endswith(" !") for text in texts)


def test_speech_and_intertitles_of_one_film_land_on_one_side(make: Make, tmp_path: Path) -> None:
    for number in range(12):
        for kind in ("speech", "intertitle"):
            write_film(
                tmp_path / kind / str(1930 + number % 5) / f"SF{number}.srt",
                f"Film nummer {number} med {kind} i bild.",
            )
    make("speech/**/*.srt", "intertitle/**/*.srt", heldout=0.3)
    numbers = {
        side: [text.split()[2] for text in texts]
        for side, texts in split(tmp_path / "corpus").items()
    }
    assert not set(numbers["train"]) & set(numbers["heldout"])
    assert all(numbers[side].count(number) == 2 for side in numbers for number in numbers[side])
    assert len(numbers["heldout"]) == 2 * round(0.3 * 12)


def test_a_document_of_subtitles_has_a_sentence_a_line(make: Make, tmp_path: Path) -> None:
    for number in range(2):
        write_film(tmp_path / f"{number}.srt", f"Det var en gång. Så slutade film {number}.")
    make("*.srt", heldout=0.5)
    (document,) = read_documents(tmp_path / "corpus" / "train.jsonl")
    assert document.sentence_a_line and len(document.sentences) == 1


def test_the_split_is_the_same_in_any_order_of_files(make: Make, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        write_jsonl(tmp_path / f"{name}.jsonl", swedish_sentences(20, seed))
    make("a.jsonl", "b.jsonl", "c.jsonl", name="one", heldout=0.2)
    make("c.jsonl", "a.jsonl", "b.jsonl", name="other", heldout=0.2)
    assert split(tmp_path / "one") == split(tmp_path / "other")


def test_another_seed_holds_out_other_documents(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", swedish_sentences(40))
    make("a.jsonl", name="one", heldout=0.2, seed=0)
    make("a.jsonl", name="other", heldout=0.2, seed=1)
    assert split(tmp_path / "one")["heldout"] != split(tmp_path / "other")["heldout"]


@given(
    groups=st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=20),
    share=st.floats(0.001, 0.999),
)
def test_at_least_one_group_is_held_out_and_never_all(
    groups: list[int], share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if len(set(groups)) < 2:
        return
    folder = tmp_path_factory.mktemp("split")
    rows = [
        json.dumps({"id": str(i), "text": str(i), "source": 0, "group": group}) + "\n"
        for i, group in enumerate(groups)
    ]
    (folder / "all.jsonl").write_text("".join(rows), encoding="utf-8")
    heldout = split_documents(folder / "all.jsonl", [("sv", set(groups))], share, folder)
    sides = {
        side: {groups[int(document.id)] for document in read_documents(folder / f"{side}.jsonl")}
        for side in ("train", "heldout")
    }
    assert 1 <= heldout < len(groups)
    assert sides["train"] and sides["heldout"] and not sides["train"] & sides["heldout"]


def test_text_that_is_one_document_cannot_be_split(make: Make, tmp_path: Path) -> None:
    write_film(tmp_path / "speech" / "a.srt", "Kungen kom till staden i går.")
    write_film(tmp_path / "intertitle" / "a.srt", "Folket jublade på torget.")
    with pytest.raises(UserError, match="one document or file, so none can be held out"):
        make("speech/a.srt", "intertitle/a.srt")


def test_a_document_that_was_there_before_is_dropped(make: Make, tmp_path: Path) -> None:
    texts = swedish_sentences(10)
    write_jsonl(tmp_path / "a.jsonl", texts)
    write_jsonl(tmp_path / "b.jsonl", [text.upper() for text in texts] + ["En ny mening står här."])
    result = make("a.jsonl", "b.jsonl", heldout=0.2, min_characters=1)
    assert result.documents == 11
    assert result.dropped == {"duplicate": 10}


def test_short_documents_and_those_without_letters_are_dropped(make: Make, tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "a.jsonl", [*swedish_sentences(10), "Hej.", "1234 5678 1234 5678 90", ""]
    )
    assert make("a.jsonl", min_characters=10).dropped == {"too short": 1, "no letters": 2}


def test_a_source_stops_at_max_bytes_and_the_next_goes_on(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [f"{number:03} åäö" * 10 for number in range(100)])
    write_jsonl(tmp_path / "b.jsonl", swedish_sentences(5))
    size = len(("000 åäö" * 10).encode())
    result = make(
        {"path": str(tmp_path / "a.jsonl"), "max_bytes": 3 * size - 1}, "b.jsonl", min_characters=1
    )
    assert [source.rows for source in result.sources] == [3, 5]
    assert result.sources[0].bytes == 3 * size


def test_each_source_has_its_tally(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", swedish_sentences(300))
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{\n")
    write_film(tmp_path / "films" / "a.srt", "Kungen kom till staden i går.")
    write_film(tmp_path / "films" / "b.srt", "Folket jublade på torget.")
    licensed = {"path": str(tmp_path / "films" / "*.srt"), "licence": "cc-by-4.0"}
    first, second = make("a.jsonl", licensed, min_characters=1).sources
    assert (first.name, first.files, first.rows, first.lines) == (
        "a.jsonl",
        1,
        300,
        301,
    )
    assert (first.invalid_json, first.first_invalid, first.licence) == (
        1,
        "a.jsonl, line 301",
        None,
    )
    assert (second.name, second.files, second.rows, second.lines) == ("*.srt", 2, 2, 8)
    assert (second.invalid_json, second.first_invalid, second.licence) == (
        0,
        None,
        "cc-by-4.0",
    )


def test_text_that_does_not_survive_cleaning_is_an_error_that_says_why(
    make: Make, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "a.jsonl", ["12345678901234567890"] * 200)
    with pytest.raises(UserError, match="0 of 200 documents survive cleaning \\(200 no letters\\)"):
        make("a.jsonl")


def test_nothing_but_the_two_sides_is_left_in_the_folder(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", swedish_sentences(10))
    make("a.jsonl")
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == [
        "heldout.jsonl",
        "train.jsonl",
    ]


ENGLISH = [
    f"The government proposes to raise the tax on fuel number {i} next year." for i in range(10)
]
SWEDISH = [
    f"Regeringen föreslår att skatten på drivmedel nummer {i} höjs nästa år." for i in range(30)
]


def test_each_document_has_the_number_of_its_source(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", SWEDISH)
    write_jsonl(tmp_path / "b.jsonl", ENGLISH)
    make("a.jsonl", "b.jsonl", heldout=0.2)
    documents = [
        d
        for side in ("train", "heldout")
        for d in read_documents(tmp_path / "corpus" / f"{side}.jsonl")
    ]
    assert {document.text: document.source for document in documents} == dict.fromkeys(
        SWEDISH, 0
    ) | dict.fromkeys(ENGLISH, 1)


def test_the_language_filter_leaves_documents_in_another_language_out_and_keeps_them_aside(
    make: Make, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "a.jsonl", [*SWEDISH, *ENGLISH])
    result = make("a.jsonl", language="sv", language_filter=True)
    assert (result.documents, result.dropped, result.foreign_share) == (
        30,
        {"another language": 10},
        0.0,
    )
    assert [
        document.text for document in read_documents(tmp_path / "corpus" / "foreign.jsonl")
    ] == ENGLISH


def test_documents_that_share_text_with_what_is_kept_out_are_dropped(
    make: Make, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "a.jsonl", SWEDISH)
    result = make("a.jsonl", language="sv", without=Passages(SWEDISH[:3]))
    assert result.dropped == {"text of a task": 3}


def test_much_text_in_another_language_is_worth_a_warning_with_its_share(
    make: Make, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "a.jsonl", [*SWEDISH, *ENGLISH])
    result = make("a.jsonl", language="sv")
    assert (result.documents, result.foreign_share) == (40, 0.25)
    (warning,) = result.warnings
    assert "25% of the documents seem to be in another language" in warning
    assert not (tmp_path / "corpus" / "foreign.jsonl").exists()


def test_a_language_that_the_identifier_does_not_know_has_no_share_and_cannot_be_filtered_by(
    make: Make, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "a.jsonl", SWEDISH)
    result = make("a.jsonl", language="fo")
    assert (result.foreign_share, result.warnings) == (None, [])
    with pytest.raises(
        UserError, match=r"corpus.language_filter: the language identifier doesn't know 'fo'"
    ):
        make("a.jsonl", name="again", language="fo", language_filter=True)


@pytest.fixture
def toy_format() -> Iterator[None]:
    """A format that the package knows nothing of: a document a paragraph, in capitals."""

    def read_shouted(file: IO[bytes], tally: Tally) -> Iterator[Row]:
        for paragraph in file.read().decode().split("\n\n"):
            tally.lines += 1
            yield {"text": paragraph.capitalize()}

    register_format("shout", read_shouted)
    yield
    del READERS["shout"]
    FORMATS.remove("shout")


@pytest.mark.parametrize("named", [False, True])
def test_text_is_read_in_a_format_that_was_registered_from_outside(
    make: Make, toy_format: None, tmp_path: Path, named: bool
) -> None:
    paragraphs = [sentence.upper() for sentence in swedish_sentences(30)]
    path = tmp_path / ("a.txt" if named else "a.shout")
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    source = {"path": str(path), "format": "shout"} if named else path.name
    assert make(source).documents == len(set(paragraphs))
    documents = list(read_documents(tmp_path / "corpus" / "train.jsonl"))
    assert all(document.text.istitle() or document.text[0].isupper() for document in documents)
    assert not any(document.text.isupper() for document in documents)


def test_a_format_that_nothing_registered_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"Input should be 'txt', 'jsonl'.* or 'srt'"):
        CorpusSection.model_validate({"sources": [{"path": "a", "format": "shout"}]})


def test_of_each_language_some_text_is_held_out(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [f"Kungen kom till staden år {n}." for n in range(300)])
    write_jsonl(tmp_path / "b.jsonl", [f"The king came to town in {n}." for n in range(4)])
    make("a.jsonl", "b.jsonl", language=["sv", "en"], heldout=0.01)
    heldout = [
        document.source for document in read_documents(tmp_path / "corpus" / "heldout.jsonl")
    ]
    assert (heldout.count(0), heldout.count(1)) == (3, 1)


def test_the_filter_leaves_out_what_is_not_in_its_sources_own_language(
    make: Make, tmp_path: Path
) -> None:
    swedish = [f"Det var en gång en kung som bodde i ett slott med {n} rum." for n in range(9)]
    english = [f"Once upon a time there was a king in a castle of {n} rooms." for n in range(9)]
    write_jsonl(tmp_path / "a.jsonl", [*swedish, english[0]])
    write_jsonl(tmp_path / "b.jsonl", [*english[1:], "Det här är en text på svenska om en kung."])
    result = make("a.jsonl", "b.jsonl", language=["sv", "en"], language_filter=True, heldout=0.2)
    assert result.dropped == {"another language": 2} and result.documents == 17


def test_a_language_whose_text_is_one_document_is_named(make: Make, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [f"Kungen kom till staden år {n}." for n in range(9)])
    write_jsonl(tmp_path / "b.jsonl", ["The king came to the town."])
    with pytest.raises(UserError, match="all text in en is one document"):
        make("a.jsonl", "b.jsonl", language=["sv", "en"])
