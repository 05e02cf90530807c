"""`python -m distill trim`: text files and a model in, a stock folder with its curve and proof
out.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertForMaskedLM,
    BertForTokenClassification,
    DebertaV2ForMaskedLM,
    DistilBertForMaskedLM,
    ModernBertForMaskedLM,
    ModernBertModel,
    PreTrainedModel,
    XLMModel,
    XLMRobertaForMaskedLM,
    XLMRobertaForSequenceClassification,
    XLMWithLMHeadModel,
)

from distill.cli.trim import trim_to_folder
from distill.models.saving import save_model
from distill.report.results.vocabulary import VocabularyResult
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from tests.conftest import distill_command, distill_environment, swedish_sentences
from tests.vocabulary.tokenizers_of_each_family import tokenizer_of

Trim = Callable[..., VocabularyResult]


def write_texts(folder: Path) -> None:
    """The same kind of text in three formats, four sentences a document."""
    documents = [" ".join(swedish_sentences(4, seed)) for seed in range(240)]
    (folder / "a.txt").write_text("\n".join(documents[:80]), encoding="utf-8")
    with gzip.open(folder / "b.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(documents[80:160]))
    rows = (json.dumps({"body": text}) for text in documents[160:])
    (folder / "c.jsonl").write_text("\n".join(rows), encoding="utf-8")


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, tiny_teacher: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The real command line on two files: the working folder, and what was said."""
    folder = tmp_path_factory.mktemp("trim")
    write_texts(folder)
    command = distill_command(
        "trim",
        tiny_teacher,
        "a.txt",
        "b.txt*",
        "--output",
        "out",
        "--min-count",
        2,
        "--language",
        "sv",
    )
    said = subprocess.run(
        command,
        cwd=folder,
        env=distill_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return folder, said


def test_the_folder_holds_model_tokenizer_curve_proof_and_what_changed(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    files = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    files |= {"curve.json", "curve.png", "proof.json", "changed.jsonl"}
    assert {file.name for file in (done[0] / "out").iterdir()} == files
    assert {file.name for file in done[0].iterdir()} == {"a.txt", "b.txt.gz", "c.jsonl", "out"}


def test_stock_classes_load_the_folder(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    model, tokenizer = (
        AutoModel.from_pretrained(done[0] / "out"),
        AutoTokenizer.from_pretrained(done[0] / "out"),
    )
    proof = json.loads((done[0] / "out" / "proof.json").read_text(encoding="utf-8"))["vocabulary"]
    assert model.config.vocab_size == len(tokenizer) == proof["kept"] < proof["original"]
    assert proof["max_abs_hidden_difference"] == 0.0
    assert proof["heldout_identical"] > 0.9
    assert (
        model(**tokenizer("Kungen och fisken.", return_tensors="pt"))
        .last_hidden_state.isfinite()
        .all()
    )


def test_the_curve_and_the_figures_are_printed(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    said = done[1].stdout
    assert "sentences identical" in said and "\n> " in said
    assert "largest difference of a hidden state on those: 0\n" in said
    assert said.endswith("model: out\n")
    assert "Traceback" not in done[1].stderr and "Loading weights" not in done[1].stderr


@pytest.fixture
def trim(tmp_path: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch) -> Trim:
    """The command in this process; options by their names."""
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path)

    def trim(
        *texts: str,
        model: str = str(tiny_teacher),
        output: str = "out",
        language: str | None = None,
        column: str = "text",
        heldout: float = 0.1,
        language_filter: bool = False,
        **vocabulary: Any,
    ) -> VocabularyResult:
        return trim_to_folder(
            model,
            revision="main",
            sources=[{"path": text, "column": column} for text in texts or ("a.txt",)],
            corpus={"heldout": heldout, "language_filter": language_filter},
            vocabulary=vocabulary,
            language=language,
            output=Path(output),
            progress=Progress(quiet=True),
        )

    return trim


def test_files_of_several_kinds_are_read_together(trim: Trim) -> None:
    sources = trim("a.txt", "b.txt.gz").sources
    assert [source.name for source in sources] == ["a.txt", "b.txt.gz"]
    assert all(source.heldout_sentences for source in sources)
    assert trim("c.jsonl", column="body", output="other").kept > 100


@pytest.mark.parametrize(
    "target", [{"size": 300}, {"coverage": 0.98}, {"identical": 0.7}, {"min_count": 3}, {}]
)
def test_each_target_is_met(trim: Trim, target: dict[str, Any]) -> None:
    result = trim("a.txt", **target)
    assert result.kept == target.get("size", result.kept)
    assert result.heldout_identical >= target.get("identical", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 300, "min_count": 2}, r"cannot aim at both min_count and size; choose one"),
        ({"identical": 1.5}, r"--identical: Input should be less than 1; found 1.5"),
        ({"size": 3}, r"--size: 3 is fewer than the \d+ pieces that are always kept"),
        ({"size": 10_000}, r"--size: 10000 is more than the teacher's 60\d pieces"),
        ({"identical": 0.9999}, r"--identical: 0.9999 is out of reach"),
        ({"identical": 0.5, "floor": 0.9}, r"identical 0.5 lies below floor 0.9"),
        ({"min_count": 40, "floor": 0.99}, r"below the floor of 0.99"),
        (
            {"keep": {"pieces": ["kung"]}},
            r"--keep: the teacher has no piece 'kung'; did you mean '▁kung'",
        ),
        (
            {"keep": {"pattern": "Xx+"}},
            r"--keep-pattern: no piece of the teacher matches 'Xx\+' whole",
        ),
        ({"keep": {"terms": "none.txt"}}, r"source none.txt: there is no such file"),
        ({"lexicon": "none.txt"}, r"source none.txt: there is no such file"),
        ({"model": "./none"}, r"MODEL: there is no folder ./none"),
        ({"language_filter": True}, r"--language-filter needs --language"),
        (
            {"language_filter": True, "language": "fo"},
            r"--language-filter: the language identifier doesn't know 'fo'",
        ),
        ({"heldout": 0.0}, r"--heldout: Input should be greater than 0"),
    ],
)
def test_a_mistake_is_told_in_the_command_lines_words_and_leaves_nothing(
    trim: Trim, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        trim("a.txt", **options)
    assert {file.name for file in tmp_path.iterdir()} == {"a.txt", "b.txt.gz", "c.jsonl"}


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "it is empty"), ("12 34 56\n78 90 12\n", "0 of 2 documents survive cleaning")],
)
def test_text_of_which_nothing_remains_is_refused(
    trim: Trim, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "bad.txt").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        trim("bad.txt")


def test_a_missing_text_file_is_refused(trim: Trim) -> None:
    with pytest.raises(UserError, match=r"source none.txt: there is no such file"):
        trim("none.txt")


def test_a_folder_that_is_there_already_is_left_alone(trim: Trim, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="--output: out is there already; name another folder"):
        trim("a.txt")
    assert (tmp_path / "out" / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_an_empty_folder_is_filled(trim: Trim, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    trim("a.txt")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_mistake_on_the_command_line_is_one_message_and_exit_code_2(
    distill: Callable[..., subprocess.CompletedProcess[str]], tiny_teacher: Path, tmp_path: Path
) -> None:
    write_texts(tmp_path)
    done = distill("trim", tiny_teacher, "a.txt", "--output", "out", "--keep", "kung")
    assert done.returncode == 2
    assert (
        done.stderr.strip().splitlines()[-1].startswith("--keep: the teacher has no piece 'kung'")
    )
    assert "Traceback" not in done.stderr


def test_text_in_another_language_is_warned_of_with_its_share(
    distill: Callable[..., subprocess.CompletedProcess[str]], tiny_teacher: Path, tmp_path: Path
) -> None:
    english = (
        f"The government proposes to raise the tax on fuel number {i} next year.\n"
        for i in range(40)
    )
    (tmp_path / "english.txt").write_text("".join(english), encoding="utf-8")
    done = distill("trim", tiny_teacher, "english.txt", "--output", "out", "--language", "sv")
    assert done.returncode == 0, done.stderr
    assert "100% of the documents seem to be in another language" in done.stderr


SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
POSITIONS = {"max_position_embeddings": 512}
XLM = {
    "emb_dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "bos_index": 0,
    "eos_index": 1,
    "pad_index": 2,
    "unk_index": 3,
}
DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
PAIRS: list[tuple[str, type[PreTrainedModel], dict[str, Any]]] = [
    ("unigram", XLMRobertaForMaskedLM, SIZES),
    ("unigram", XLMRobertaForSequenceClassification, {**SIZES, "num_labels": 3}),
    (
        "unigram with byte fallback",
        DebertaV2ForMaskedLM,
        {**SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    ("wordpiece, cased", BertForMaskedLM, {**SIZES, "tie_word_embeddings": False}),
    ("wordpiece, cased", BertForTokenClassification, {**SIZES, "num_labels": 5}),
    ("wordpiece, uncased", DistilBertForMaskedLM, DISTILBERT),
    ("bpe with byte fallback", ModernBertForMaskedLM, SIZES),
    ("byte-level bpe, whole words first", ModernBertModel, SIZES),
    ("xlm", XLMModel, {**XLM, "mask_index": 9}),
    ("xlm", XLMWithLMHeadModel, {**XLM, "mask_index": 9}),
]


@pytest.mark.parametrize(
    ("kind", "architecture", "sizes"),
    PAIRS,
    ids=[f"{kind}-{made.__name__}" for kind, made, _ in PAIRS],
)
def test_every_architecture_and_head_comes_back_from_the_folder_with_the_same_outputs(
    trim: Trim,
    tmp_path: Path,
    kind: str,
    architecture: type[PreTrainedModel],
    sizes: dict[str, Any],
) -> None:
    tokenizer = tokenizer_of(kind)
    torch.manual_seed(0)
    roles = ("bos", "eos", "sep", "cls", "pad", "mask")
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in roles}
    config = architecture.config_class(
        vocab_size=len(tokenizer) + 3, **POSITIONS, **{**ids, **sizes}
    )
    model = architecture(config).eval()
    save_model(model, tokenizer, tmp_path / "model")
    proof = trim("a.txt", model=str(tmp_path / "model"), min_count=1)
    assert proof.max_abs_hidden_difference == 0.0 and proof.heldout_identical > 0.5
    loaded, smaller = (
        architecture.from_pretrained("out").eval(),
        AutoTokenizer.from_pretrained("out"),
    )
    assert loaded.config.vocab_size == len(smaller) == proof.kept < len(tokenizer)
    text = next(
        sentence
        for sentence in swedish_sentences(9, 1)
        if tokenizer.tokenize(sentence) == smaller.tokenize(sentence)
    )
    with torch.inference_mode():
        old, new = (
            model(**tokenizer(text, return_tensors="pt"))[0],
            loaded(**smaller(text, return_tensors="pt"))[0],
        )
    if new.shape[-1] == proof.kept:  # logits over the vocabulary
        old = old[
            ..., tokenizer.convert_tokens_to_ids(smaller.convert_ids_to_tokens(range(proof.kept)))
        ]
    # A small product of weights that were mapped from a file can differ in its last bit from one of
    # weights in memory.
    torch.testing.assert_close(new, old, rtol=0, atol=1e-6)
    assert loaded.config.pad_token_id == smaller.pad_token_id
