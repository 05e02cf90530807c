from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from distill.models import LoadedModel
from distill.runtime import slices
from distill.training import chunks as module
from distill.training.chunks import (
    LONGEST_WORD,
    Chunks,
    batch_stream,
    cut_words,
    epoch_batches,
    has_chunks,
    open_chunks,
    special_around,
    split_ids,
    write_chunks,
)
from tests.conftest import swedish_sentences
from tests.vocabulary.conftest import texts
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

TEXTS = [" ".join(swedish_sentences(6, seed)) for seed in range(12)]
lengths_of_chunks = st.lists(st.integers(1, 60), min_size=1, max_size=60).map(np.array)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int]:
    low = draw(st.integers(1, 12))
    return low, draw(st.integers(low, 30))


@given(
    text=st.text(alphabet="abå \n\xa0", max_size=300),
    chunk_words=ranges(),
    seed=st.integers(0, 1000),
)
def test_every_word_occurs_exactly_once_and_in_order(
    text: str, chunk_words: tuple[int, int], seed: int
) -> None:
    runs = list(cut_words(text, chunk_words, np.random.default_rng(seed)))
    assert " ".join(runs).split() == text.split()
    assert all(runs)


@given(
    text=st.lists(
        st.text(max_size=20) | st.text(min_size=61, max_size=200) | st.sampled_from(" \n\u3000")
    ).map("".join),
    chunk_words=ranges(),
    seed=st.integers(0, 1000),
)
def test_no_visible_character_of_any_text_is_lost_and_no_run_is_longer_than_its_words(
    text: str, chunk_words: tuple[int, int], seed: int
) -> None:
    low, high = chunk_words
    runs = list(cut_words(text, chunk_words, np.random.default_rng(seed)))
    assert "".join("".join(runs).split()) == "".join(text.split())
    assert all(len(run) < (high + low) * (LONGEST_WORD + 1) for run in runs)


@given(words=st.integers(0, 300), chunk_words=ranges(), seed=st.integers(0, 1000))
def test_runs_have_between_the_fewest_and_the_most_words_and_a_short_rest(
    words: int, chunk_words: tuple[int, int], seed: int
) -> None:
    low, high = chunk_words
    sizes = [
        len(run.split())
        for run in cut_words("ord " * words, chunk_words, np.random.default_rng(seed))
    ]
    assert all(low <= size <= high for size in sizes[:-1])
    assert not sizes or min(low, words) <= sizes[-1] < high + low


def test_lengths_are_spread_evenly_over_the_doublings() -> None:
    sizes = [
        len(run.split()) for run in cut_words("ord " * 60_000, (8, 64), np.random.default_rng(0))
    ]
    shares = [np.mean([low <= size < 2 * low for size in sizes]) for low in (8, 16, 32)]
    assert all(share == pytest.approx(1 / 3, abs=0.04) for share in shares)


def write(
    teacher: LoadedModel,
    folder: Path,
    *,
    prefixes: tuple[str, ...] = ("",),
    longest: int = 60,
    seed: int = 0,
) -> Chunks:
    folder.mkdir()
    return write_chunks(
        TEXTS,
        teacher.tokenizer,
        folder,
        prefixes=prefixes,
        chunk_words=(3, 9),
        longest=longest,
        seed=seed,
    )


def chunk_texts(chunks: Chunks, teacher: LoadedModel) -> list[str]:
    """Each chunk's text, rebuilt from its pieces."""
    tokenizer = teacher.tokenizer
    rows = [
        chunks.ids[chunks.offsets[i] : chunks.offsets[i + 1]].tolist() for i in range(len(chunks))
    ]
    assert all(
        row[0] == tokenizer.bos_token_id and row[-1] == tokenizer.eos_token_id for row in rows
    )
    return [
        "".join(tokenizer.convert_ids_to_tokens(row[1:-1])).replace("▁", " ").strip()
        for row in rows
    ]


def test_written_chunks_hold_the_text_word_for_word(teacher: LoadedModel, tmp_path: Path) -> None:
    assert " ".join(chunk_texts(write(teacher, tmp_path / "a"), teacher)) == " ".join(TEXTS)


def test_every_chunk_starts_with_one_of_the_prefixes(teacher: LoadedModel, tmp_path: Path) -> None:
    texts = chunk_texts(write(teacher, tmp_path / "a", prefixes=("kung ", "fisk ")), teacher)
    first = [text.split()[0] for text in texts]
    assert set(first) == {"kung", "fisk"}
    assert " ".join(word for text in texts for word in text.split()[1:]) == " ".join(TEXTS)


def test_what_is_longer_than_the_longest_goes_on_in_further_chunks(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    chunks = write(teacher, tmp_path / "a", longest=8)
    assert chunks.lengths.max() == 8
    chunk_texts(chunks, teacher)  # still with both special tokens
    whole = write(teacher, tmp_path / "b")
    special = set(teacher.tokenizer.all_special_ids)
    assert [i for i in chunks.ids if i not in special] == [i for i in whole.ids if i not in special]


@pytest.mark.parametrize("kind", BUILDERS)
@given(given_texts=st.lists(texts, min_size=1, max_size=4), longest=st.integers(3, 12))
def test_every_piece_of_any_text_is_in_a_chunk_and_no_chunk_is_longer_than_the_longest(
    kind: str, given_texts: list[str], longest: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tokenizer, folder = tokenizer_of(kind), tmp_path_factory.mktemp("chunks")
    runs = [
        run
        for text in given_texts
        for run in cut_words(text, (10**6, 10**6), np.random.default_rng(0))
    ]
    chunks = write_chunks(
        given_texts,
        tokenizer,
        folder,
        prefixes=[""],
        chunk_words=(10**6, 10**6),
        longest=longest,
        seed=0,
    )
    before, after = (len(ids) for ids in special_around(tokenizer))
    rows = [chunks.ids[a:b].tolist() for a, b in pairwise(chunks.offsets)]
    whole = tokenizer(runs, add_special_tokens=False, verbose=False)["input_ids"] if runs else []
    assert [i for row in rows for i in row[before : len(row) - after]] == [
        i for ids in whole for i in ids
    ]
    assert all(len(row) <= longest for row in rows)


@given(
    body=st.lists(st.integers(5, 99), max_size=60),
    around=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    longest=st.integers(5, 40),
)
def test_ids_are_split_into_parts_that_fit_each_with_the_special_ids_around(
    body: list[int], around: tuple[int, int], longest: int
) -> None:
    before, after = [0] * around[0], [2] * around[1]
    parts = list(split_ids([*before, *body, *after], before, after, longest))
    inner = [part[len(before) : len(part) - len(after)] for part in parts]
    assert [i for part in inner for i in part] == body
    assert all([*before, *of, *after] == part for of, part in zip(inner, parts, strict=True))
    assert all(len(part) <= longest for part in parts)


def test_text_without_blanks_is_cut_like_any_other_and_nothing_of_it_is_lost() -> None:
    text = "这是一个没有空格的句子。" * 50
    runs = list(cut_words(text, (8, 64), np.random.default_rng(0)))
    assert "".join(runs) == text
    assert len(runs) > 3 and max(map(len, runs)) <= 3 * (64 + 8)


def test_chunks_are_a_function_of_the_seed_and_not_of_the_encoders_batches(
    teacher: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes = ("", "kung ")
    one = write(teacher, tmp_path / "one", prefixes=prefixes)
    monkeypatch.setattr(module, "_ENCODE_BATCH", 5)
    same = write(teacher, tmp_path / "same", prefixes=prefixes)
    other = write(teacher, tmp_path / "other", prefixes=prefixes, seed=1)
    assert np.array_equal(one.ids, same.ids) and np.array_equal(one.offsets, same.offsets)
    assert not np.array_equal(one.offsets, other.offsets)


def test_chunks_are_read_back_as_written(teacher: LoadedModel, tmp_path: Path) -> None:
    written, read = write(teacher, tmp_path / "a"), open_chunks(tmp_path / "a")
    assert np.array_equal(written.ids, read.ids) and np.array_equal(written.offsets, read.offsets)


def test_no_text_gives_no_chunks(teacher: LoadedModel, tmp_path: Path) -> None:
    chunks = write_chunks(
        [], teacher.tokenizer, tmp_path, prefixes=[""], chunk_words=(3, 9), longest=60, seed=0
    )
    assert len(chunks) == 0


def test_while_writing_is_cut_off_nothing_looks_whole(teacher: LoadedModel, tmp_path: Path) -> None:
    def texts() -> object:
        yield from TEXTS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_chunks(
            texts(),
            teacher.tokenizer,
            tmp_path,
            prefixes=[""],
            chunk_words=(3, 9),
            longest=60,
            seed=0,
        )  # type: ignore[arg-type]
    assert not has_chunks(tmp_path)


@pytest.mark.parametrize("name", ["ids.raw", "offsets.npy"])
def test_chunks_in_which_a_bit_was_flipped_are_not_whole(
    teacher: LoadedModel, tmp_path: Path, name: str
) -> None:
    write(teacher, tmp_path / "a")
    assert has_chunks(tmp_path / "a")
    content = bytearray((tmp_path / "a" / name).read_bytes())
    content[-5] ^= 1
    (tmp_path / "a" / name).write_bytes(content)
    assert not has_chunks(tmp_path / "a")


def test_a_batch_is_padded_to_its_longest_chunk_and_masked() -> None:
    chunks = Chunks(
        ids=np.array([5, 6, 7, 8, 9, 4], dtype=np.uint32), offsets=np.array([0, 3, 4, 6])
    )
    ids, mask = chunks.batch([2, 0, 1], padding=1)
    assert ids.tolist() == [[9, 4, 1], [5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]


@given(
    lengths=lengths_of_chunks,
    batch_tokens=st.integers(1, 300),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 9),
)
def test_the_batches_of_an_epoch_hold_every_chunk_once(
    lengths: np.ndarray, batch_tokens: int, seed: int, epoch: int
) -> None:
    rows = np.concatenate(epoch_batches(lengths, batch_tokens, seed, epoch))
    assert sorted(rows.tolist()) == list(range(len(lengths)))


@given(lengths=lengths_of_chunks, batch_tokens=st.integers(1, 300))
def test_no_batch_has_more_tokens_than_asked_for_unless_it_is_one_chunk(
    lengths: np.ndarray, batch_tokens: int
) -> None:
    for rows in epoch_batches(lengths, batch_tokens, 0, 0):
        assert len(rows) == 1 or lengths[rows].max() * len(rows) <= batch_tokens


@given(lengths=lengths_of_chunks, batch_tokens=st.integers(60, 300))
def test_no_two_batches_of_neighbouring_lengths_would_fit_into_one(
    lengths: np.ndarray, batch_tokens: int
) -> None:
    batches = sorted(
        epoch_batches(lengths, batch_tokens, 0, 0),
        key=lambda r: (lengths[r].max(), lengths[r].min(), -len(r)),
    )
    for one, other in pairwise(batches):
        assert (len(one) + 1) * lengths[other].min() > batch_tokens


def as_lists(batches: list[np.ndarray]) -> list[list[int]]:
    return [rows.tolist() for rows in batches]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(3, 40, 200)
    orders = {
        (seed, epoch): as_lists(epoch_batches(lengths, 256, seed, epoch))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert all(
        as_lists(epoch_batches(lengths, 256, *key)) == order for key, order in orders.items()
    )
    assert len({str(order) for order in orders.values()}) == 4
    assert len({str(sorted(map(sorted, order))) for order in orders.values()}) == 4, (
        "other chunks meet, too"
    )


@given(
    lengths=lengths_of_chunks,
    batch_tokens=st.integers(20, 300),
    seed=st.integers(0, 99),
    stop=st.integers(0, 40),
)
def test_a_stream_taken_up_after_any_batch_goes_on_as_if_never_stopped(
    lengths: np.ndarray, batch_tokens: int, seed: int, stop: int
) -> None:
    whole = [
        (e, b, rows.tolist())
        for e, b, rows in islice(batch_stream(lengths, batch_tokens, seed), stop + 12)
    ]
    epoch, batch = (whole[stop - 1][0], whole[stop - 1][1] + 1) if stop else (0, 0)
    rest = [
        (e, b, rows.tolist())
        for e, b, rows in islice(batch_stream(lengths, batch_tokens, seed, epoch, batch), 12)
    ]
    assert rest == whole[stop:]


@given(st.lists(st.text("ab\n", max_size=5), max_size=60).map(" ".join), st.integers(0, 9))
def test_a_long_text_is_cut_in_slices_as_at_once(text: str, seed: int) -> None:
    runs = list(cut_words(text, (2, 6), np.random.default_rng(seed)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE", 5)
        assert list(cut_words(text, (2, 6), np.random.default_rng(seed))) == runs
