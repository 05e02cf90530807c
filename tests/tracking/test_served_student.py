"""A logged student answers through MLflow with a row for each text, from Python and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from distill.models import LoadedModel, load_with_tokenizer
from distill.models.after_pooling import AfterPooling, Dense, Normalize
from distill.models.pooling import pool
from distill.models.saving import save_model
from distill.models.sentence_form import SentenceForm, form_of_section
from distill.models.sentence_writing import write_sentence_form
from distill.recipe import TeacherSection
from distill.tracking.model import log_student
from tests.models.headed import headed_model

TEXTS = ["Regeringen föreslår en ny lag.", "Fisken simmar.", "En bok om havet och fisken."]
TEACHER = TeacherSection.model_validate(
    {"model": "a/b", "prefixes": {"query": "fråga: ", "passage": "svar: "}}
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`log(model, name)`: the address of a student logged in a store of this module."""
    import mlflow

    place, before = tmp_path_factory.mktemp("store"), mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{place / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("students", artifact_location=(place / "a").as_uri())

    def put(
        student: LoadedModel, *, has_vectors: bool = False, form: SentenceForm | None = None
    ) -> str:
        folder = tmp_path_factory.mktemp("student")
        save_model(student.model, student.tokenizer, folder)
        (folder / "README.md").write_text("---\nlanguage: sv\n---\n", encoding="utf-8")
        if has_vectors:
            write_sentence_form(folder, form or form_of_section(TEACHER), width=32, length=62)
        run = client.create_run(experiment).info.run_id
        model = client.create_logged_model(experiment, "student", run)
        log_student(run, model.model_id, folder, "student")
        return f"models:/{model.model_id}"

    yield put
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


@pytest.fixture(scope="module")
def vectors(log: Callable[..., str], teacher: LoadedModel) -> Any:
    """The pyfunc of a student that gives vectors."""
    import mlflow

    return mlflow.pyfunc.load_model(log(teacher, has_vectors=True))


def expected(teacher: LoadedModel, prefix: str) -> np.ndarray:
    """One text at a time, without padding."""
    found = []
    for text in TEXTS:
        batch = teacher.tokenizer(prefix + text, return_tensors="pt")
        with torch.inference_mode():
            states = teacher.model(**batch).last_hidden_state
        found.append(pool(states, batch["attention_mask"], "mean"))
    return torch.cat(found).numpy()


def test_each_text_gets_its_sentence_vector_with_the_query_prompt(
    vectors: Any, teacher: LoadedModel
) -> None:
    np.testing.assert_allclose(vectors.predict(TEXTS), expected(teacher, "fråga: "), atol=1e-5)


def test_a_dense_layer_answers_too(log: Callable[..., str], teacher: LoadedModel) -> None:
    import mlflow

    dense = Dense(torch.randn(8, 32), torch.randn(8), "Tanh")
    form = SentenceForm(pooling="max", after=AfterPooling([dense, Normalize()]))
    model = mlflow.pyfunc.load_model(log(teacher, has_vectors=True, form=form))
    batch = teacher.tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.inference_mode():
        states = teacher.model(**batch).last_hidden_state
        wanted = form.after(pool(states, batch["attention_mask"], "max"))
    np.testing.assert_allclose(model.predict(TEXTS), wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize(("prompt", "prefix"), [("document", "svar: "), ("none", "")])
def test_a_prompt_is_chosen_by_name(
    vectors: Any, teacher: LoadedModel, prompt: str, prefix: str
) -> None:
    found = vectors.predict(TEXTS, params={"prompt": prompt})
    np.testing.assert_allclose(found, expected(teacher, prefix), atol=1e-5)


def test_a_prompt_that_the_student_does_not_have_is_refused_by_name(vectors: Any) -> None:
    with pytest.raises(ValueError, match=r"prompt: expected one of none, .*query.*; found 'title'"):
        vectors.predict(TEXTS, params={"prompt": "title"})


def test_the_signature_names_the_prompt_and_the_width_and_the_example_fits_it(
    vectors: Any,
) -> None:
    import mlflow

    signature = vectors.metadata.signature
    assert signature.outputs.inputs[0].shape == (-1, 32)
    (prompt,) = signature.params.params
    assert (prompt.name, prompt.default) == ("prompt", "query")
    where = mlflow.artifacts.download_artifacts(f"models:/{vectors.metadata.model_id}")
    example = vectors.metadata.load_input_example(where)
    assert vectors.predict(example).shape == (len(example), 32)


def test_the_scoring_server_answers_with_a_vector_for_each_text(
    vectors: Any, teacher: LoadedModel
) -> None:
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    client = TestClient(init(vectors))
    for content in (
        {"inputs": TEXTS, "params": {"prompt": "document"}},
        {
            "dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]},
            "params": {"prompt": "document"},
        },
    ):
        answer = client.post("/invocations", json=content)
        assert answer.status_code == 200, answer.text
        found = np.array(json.loads(answer.text)["predictions"])
        np.testing.assert_allclose(found, expected(teacher, "svar: "), atol=1e-5)


def test_masked_pieces_are_filled_in_each_text(
    log: Callable[..., str], teacher: LoadedModel
) -> None:
    import mlflow
    from transformers import pipeline

    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(teacher.model.config).eval()
    served = mlflow.pyfunc.load_model(log(LoadedModel(model=model, tokenizer=teacher.tokenizer)))
    mask = teacher.tokenizer.mask_token
    texts = [f"Fisken {mask}.", "Utan lucka.", f"{mask} och {mask} simmar."]
    found = served.predict(texts)
    assert [len(pieces) for pieces in found["pieces"]] == [1, 0, 2]
    best = pipeline("fill-mask", model=model, tokenizer=teacher.tokenizer)(texts[0])[0]
    assert found["pieces"][0] == [best["token_str"].strip()]
    assert found["scores"][0] == pytest.approx([best["score"]], abs=1e-6)
    assert found["filled"][0] == best["sequence"]


def test_a_classifier_gives_each_text_a_score_for_each_label(
    log: Callable[..., str], teacher: LoadedModel
) -> None:
    import mlflow
    from transformers import AutoConfig

    torch.manual_seed(0)
    config = AutoConfig.for_model(**teacher.model.config.to_dict())
    config.id2label, config.label2id = {0: "lag", 1: "fisk"}, {"lag": 0, "fisk": 1}
    model = AutoModelForSequenceClassification.from_config(config).eval()
    served = mlflow.pyfunc.load_model(log(LoadedModel(model=model, tokenizer=teacher.tokenizer)))
    found = served.predict(TEXTS)
    assert list(found.columns) == ["lag", "fisk"]
    with torch.inference_mode():
        logits = model(**teacher.tokenizer(TEXTS[0], return_tensors="pt")).logits
    assert list(found.iloc[0]) == pytest.approx(logits.softmax(-1)[0].tolist(), abs=1e-6)


@pytest.mark.parametrize("head", ["labels", "number", "pair score", "tags", "answer span"])
def test_a_fine_tuned_head_answers_as_it_does(
    head: str, log: Callable[..., str], teacher: LoadedModel
) -> None:
    import mlflow
    import pandas as pd

    tokenizer = teacher.tokenizer
    model = headed_model("xlm-roberta", head, vocabulary=len(tokenizer))
    served = mlflow.pyfunc.load_model(log(LoadedModel(model=model, tokenizer=tokenizer)))
    of_pairs = {"pair score": ("text", "text_pair"), "answer span": ("question", "context")}
    asked = (
        pd.DataFrame([[TEXTS[0], TEXTS[1]]], columns=of_pairs[head])
        if head in of_pairs
        else [TEXTS[0]]
    )
    found = served.predict(asked).iloc[0].to_dict()
    texts = (TEXTS[0], TEXTS[1]) if head in of_pairs else (TEXTS[0],)
    with torch.inference_mode():
        output = model(**tokenizer(*texts, return_tensors="pt"))
    if head == "labels":
        expected = dict(zip(["fara", "lugn", "okänt"], output.logits[0].sigmoid(), strict=True))
        assert found == pytest.approx({name: float(value) for name, value in expected.items()})
    elif head in ("number", "pair score"):
        (value,) = found.values()
        assert value == pytest.approx(float(output.logits), abs=1e-6)
    elif head == "tags":
        assert list(found["words"]) == TEXTS[0].split()
        assert {*found["tags"]} <= {"fara", "lugn", "okänt"}
        assert len(found["tags"]) == len(found["words"])
    else:
        assert found["answer"] and found["answer"] in TEXTS[1]
