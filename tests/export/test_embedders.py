"""A teacher of sentence-transformers, trimmed and made into a student: either takes its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from transformers import PreTrainedModel

from distill.cli.trim import trim_to_folder
from distill.export.handover import export_student
from distill.models import LoadedModel, load_with_tokenizer
from distill.models.after_pooling import SentenceVectors
from distill.models.saving import save_model
from distill.models.sentence_form import SentenceForm, teacher_form
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.layout import FLOAT32, INT8, VECTORS
from distill.recipe import ExportSection, TeacherSection
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.student.depth import keep_layers
from tests.conftest import swedish_sentences
from tests.export.cards import snippets
from tests.models.headed import FAMILIES
from tests.report.examples import example_report
from tests.vocabulary.tokenizers_of_each_family import tokenizer_of

SENTENCES = swedish_sentences(60, seed=5)
TOKENIZERS = {
    "xlm-roberta": "unigram",
    "bert": "wordpiece, cased",
    "modernbert": "byte-level bpe",
    "mpnet": "wordpiece, cased",
}
Layers = Callable[[], list[Any]]
KINDS: dict[str, tuple[str, Layers, dict[str, Any]]] = {
    "mean": ("mean", list, {}),
    "cls, normalised": ("cls", lambda: [Normalize()], {}),
    "max": ("max", list, {"similarity_fn_name": "dot"}),
    "last token": ("lasttoken", lambda: [Normalize()], {"truncate_dim": 16}),
    "weighted mean": ("weightedmean", list, {"similarity_fn_name": "euclidean"}),
    "LaBSE's": ("cls", lambda: [Dense(32, 32), Normalize()], {}),
    "a wide and a narrow layer": (
        "mean",
        lambda: [Dense(32, 48, activation_function=torch.nn.GELU()), Dense(48, 8, bias=False)],
        {"prompts": {"query": "fråga: ", "document": "", "topic": "om "}},
    ),
}
"""By what is meant: pooling, the layers after it, and what is said of their use."""


def sentence_teacher(family: str, kind: str, folder: Path) -> Path:
    """A teacher with random weights, saved by sentence-transformers itself."""
    pooling, layers, use = KINDS[kind]
    tokenizer = tokenizer_of(TOKENIZERS[family])
    config, sizes = FAMILIES[family]
    torch.manual_seed(0)
    name = config.__name__.replace("Config", "Model")
    ids = {
        f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos")
    }
    model: PreTrainedModel = getattr(transformers, name)(
        config(
            **{
                **sizes,
                **{role: number for role, number in ids.items() if number is not None},
                "vocab_size": len(tokenizer),
                "max_position_embeddings": 80,
                "initializer_range": 0.3,
            }
        )
    )
    save_model(model.eval(), tokenizer, folder / "encoder")
    encoder = Transformer(str(folder / "encoder"), max_seq_length=40)
    modules = [encoder, Pooling(32, pooling), *layers()]
    SentenceTransformer(modules=modules, device="cpu", **use).save(str(folder / "teacher"))
    return folder / "teacher"


def trimmed(teacher: Path, folder: Path) -> Path:
    """The teacher as `distill trim` leaves it."""
    text = folder / "text.txt"
    text.write_text("\n\n".join(SENTENCES), encoding="utf-8")
    trim_to_folder(
        str(teacher),
        revision="main",
        sources=[{"path": str(text)}],
        corpus={"heldout": 0.1},
        vocabulary={"min_count": 1},
        language=None,
        output=folder / "trimmed",
        progress=Progress(quiet=True),
    )
    return folder / "trimmed"


def opened(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), local_files_only=True, device="cpu")


def kept(teacher: Path, small: Path) -> list[str]:
    """The sentences that both segment alike."""
    one, other = (load_with_tokenizer(str(folder)).tokenizer for folder in (teacher, small))
    return [text for text in SENTENCES if one.tokenize(text) == other.tokenize(text)]


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        *(("xlm-roberta", kind) for kind in KINDS),
        *((family, kind) for family in list(TOKENIZERS)[1:] for kind in ("mean", "LaBSE's")),
    ],
)
def test_a_trimmed_teachers_vectors_are_the_teachers(
    family: str, kind: str, tmp_path: Path
) -> None:
    teacher = sentence_teacher(family, kind, tmp_path)
    small = trimmed(teacher, tmp_path)
    whole, short = opened(teacher), opened(small)
    assert len(short.tokenizer) < len(whole.tokenizer)
    texts = kept(teacher, small)
    assert len(texts) > 30
    texts.append(" ".join(texts))  # longer than what is read
    for encode in ("encode", "encode_query", "encode_document"):
        same = [getattr(model, encode)(texts, batch_size=8) for model in (whole, short)]
        np.testing.assert_array_equal(*same)
    ways = [
        (m.prompts, m.similarity_fn_name, m.truncate_dim, m.max_seq_length) for m in (whole, short)
    ]
    assert ways[0][1:] == ways[1][1:]
    assert {name: prompt for name, prompt in ways[1][0].items() if prompt} == {
        name: prompt for name, prompt in ways[0][0].items() if prompt
    }


@dataclass(frozen=True)
class Exported:
    """A student of two of its teacher's layers."""

    teacher: Path
    folder: Path
    student: LoadedModel
    form: SentenceForm


@pytest.fixture(
    scope="module",
    params=[
        ("xlm-roberta", "LaBSE's"),
        ("bert", "a wide and a narrow layer"),
        ("modernbert", "last token"),
        pytest.param(("mpnet", "weighted mean"), marks=pytest.mark.slow),
        pytest.param(("xlm-roberta", "max"), marks=pytest.mark.slow),
    ],
    ids=", ".join,
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    place = tmp_path_factory.mktemp("place")
    teacher, folder = sentence_teacher(*request.param, place), place / "student"
    loaded = load_with_tokenizer(str(teacher))
    student = LoadedModel(model=keep_layers(loaded.model, [1, 3]), tokenizer=loaded.tokenizer)
    form = teacher_form(TeacherSection(model=str(teacher)))
    folder.mkdir()
    export_student(
        ExportSection(),
        student=student,
        teacher_section=TeacherSection(model="a/b", pooling=form.pooling),  # type: ignore[arg-type]
        form=form,
        report=example_report(),
        recipe_text="name: tiny\n",
        sentences=SENTENCES[:6],
        path=folder,
        output=folder,
    )
    return Exported(teacher, folder, student, form)


@torch.inference_mode()
def own_vectors(of: Exported, texts: list[str]) -> np.ndarray:
    """One text at a time, without padding."""
    make = SentenceVectors(of.form.pooling, of.form.after)
    found = []
    for text in texts:
        batch = of.student.tokenizer(text, truncation=True, max_length=40, return_tensors="pt")
        states = of.student.model.base_model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state
        found.append(make(states, batch["attention_mask"])[0].numpy())
    return np.stack(found)


def test_a_student_takes_its_teachers_place(exported: Exported) -> None:
    whole, small = opened(exported.teacher), opened(exported.folder)
    vectors = small.encode(SENTENCES)
    assert vectors.shape == whole.encode(SENTENCES).shape
    assert small.similarity_fn_name == whole.similarity_fn_name
    np.testing.assert_allclose(vectors, own_vectors(exported, SENTENCES), atol=1e-5)


def test_the_onnx_files_give_the_vector_itself(exported: Exported) -> None:
    batch = exported.student.tokenizer(SENTENCES[:5], padding=True, return_tensors="np")
    inputs = (batch["input_ids"], batch["attention_mask"])
    (found,) = OnnxEncoder(exported.folder / FLOAT32).outputs((VECTORS,), *inputs)
    wanted = own_vectors(exported, SENTENCES[:5])
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    if (file := exported.folder / INT8).is_file():
        (small,) = OnnxEncoder(file).outputs((VECTORS,), *inputs)
        cosines = (small * wanted).sum(1) / np.linalg.norm(small, axis=1)
        assert (cosines / np.linalg.norm(wanted, axis=1)).mean() > 0.95


@pytest.mark.parametrize("module", ["torch", "onnxruntime"])
def test_the_cards_code_gives_the_students_vectors(module: str, exported: Exported) -> None:
    code = snippets((exported.folder / "README.md").read_text(encoding="utf-8"))[module]
    name = next(line for line in code.splitlines() if line.startswith("name = "))
    names: dict[str, Any] = {}
    exec(code.replace(name, f"name = {str(exported.folder)!r}"), names)
    wanted = own_vectors(exported, names["texts"])
    np.testing.assert_allclose(np.asarray(names["vectors"]), wanted, atol=1e-4)


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path: Path) -> None:
    teacher = sentence_teacher("bert", "LaBSE's", tmp_path)
    config = teacher / "2_Dense" / "config.json"
    config.write_text(config.read_text().replace('"out_features": 32', '"out_features": 16'))
    with pytest.raises(UserError, match=r"should hold linear\.weight of 16 x 32"):
        teacher_form(TeacherSection(model=str(teacher)))
