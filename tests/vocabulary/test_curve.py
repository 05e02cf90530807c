from __future__ import annotations

import numpy as np
import pytest

from distill.report.results.vocabulary import CurvePoint
from distill.vocabulary.counting import count_text
from distill.vocabulary.curve import MIN_COUNTS, Curve, curve_table
from distill.vocabulary.families import Vocabulary, open_vocabulary
from distill.vocabulary.segments import HeldOut, segment_heldout
from distill.vocabulary.selection import Ranking
from distill.vocabulary.trimming import renumbering
from tests.conftest import swedish_sentences
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

HELDOUT = [*swedish_sentences(25, 6), "Kungen ꙮ kom 🐟.", "кошка сидит"]
TRAIN = swedish_sentences(60, 5)


def curve_of(vocabulary: Vocabulary) -> tuple[Curve, HeldOut]:
    counts = count_text([[(0, text) for text in TRAIN]], vocabulary).pieces[0]
    needs = vocabulary.needs(set(vocabulary.ids.values()) - vocabulary.special)
    ranking = Ranking(counts, vocabulary.special, needs=needs, existing=vocabulary.ids.values())
    units, (_, text) = segment_heldout([TRAIN, HELDOUT], vocabulary)
    curve = Curve(
        [ranking],
        vocabulary,
        units,
        parameters=10_000,
        rows=vocabulary.size + 5,
        piece_parameters=7,
    )
    return curve, text


@pytest.mark.parametrize("kind", BUILDERS)
def test_each_point_tells_what_really_trimming_to_it_gives(kind: str) -> None:
    vocabulary = open_vocabulary(tokenizer_of(kind))
    curve, text = curve_of(vocabulary)
    for optional in (0, 40, 200):
        kept = curve.rankings[0].kept(optional)
        point, new_ids = curve.point(text, kept), renumbering(kept)
        trimmed = open_vocabulary(vocabulary.trim(new_ids))

        def share(
            texts: list[str], trimmed: Vocabulary = trimmed, new_ids: dict[int, int] = new_ids
        ) -> float:
            both = zip(vocabulary.encode(texts), trimmed.encode(texts), strict=True)
            return float(
                np.mean([[new_ids.get(i) for i in before] == after for before, after in both])
            )

        words = sorted({word for text in HELDOUT for word in text.split()})
        mark = " " if vocabulary.units.spaced else ""
        assert point.pieces == len(new_ids)
        assert point.heldout_identical == share(HELDOUT)
        assert point.heldout_words_identical == pytest.approx(
            share([mark + word for word in words])
        )
        running = sum(len(text.split()) for text in HELDOUT)
        assert point.tokens_per_word == pytest.approx(
            sum(map(len, trimmed.encode(HELDOUT))) / running
        )
        characters = sum(len("".join(text.split())) for text in HELDOUT)
        assert point.heldout_unknown_characters == pytest.approx(
            sum(trimmed.unknown_characters(HELDOUT)) / characters
        )
        assert point.parameters == 10_000 - 7 * (vocabulary.size + 5 - point.pieces)
        assert point.bytes == 4 * point.parameters


def test_the_curve_has_a_point_for_each_threshold_from_many_pieces_to_few() -> None:
    curve, text = curve_of(open_vocabulary(tokenizer_of("unigram")))
    points = curve.points(text)
    assert [point.min_count for point in points] == list(MIN_COUNTS)
    pieces = [point.pieces for point in points]
    assert pieces == sorted(pieces, reverse=True) and pieces[0] > pieces[-1]
    identical = [point.heldout_identical for point in points]
    assert identical == sorted(identical, reverse=True)


def point(pieces: int, min_count: int | None) -> CurvePoint:
    return CurvePoint(
        pieces=pieces,
        min_count=min_count,
        heldout_identical=0.5,
        heldout_words_identical=0.75,
        heldout_unknown_characters=0.001,
        tokens_per_word=1.5,
        parameters=2_000_000,
        bytes=8,
    )


def test_the_table_has_a_row_a_point_by_size_and_marks_the_chosen_one() -> None:
    lines = curve_table([point(300, 1), point(100, 5)], point(200, None))
    assert [line.split()[0] for line in lines[1:]] == ["300", ">", "100"]
    assert lines[2].split() == [">", "200", "50.0%", "75.0%", "0.1000%", "1.500", "2.0M"]
    assert len({len(line) for line in lines}) == 1, "the columns are aligned"


def test_the_chosen_point_replaces_that_of_its_size() -> None:
    lines = curve_table([point(300, 1)], point(300, 1))
    assert len(lines) == 2 and lines[1].startswith(">")
