"""One recipe under way: what every stage may ask for, such as the documents, a model by its name,
the tracker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from distill.pipeline.records import Record
from distill.recipe import Recipe
from distill.recipe.model_reference import OWN_MODELS
from distill.recipe.reading import RecipeFile
from distill.report.model import Report, StageResults
from distill.report.results.vocabulary import VocabularyResult
from distill.runtime.errors import UserError
from distill.runtime.hashes import FileHashes
from distill.runtime.interruption import Interruption
from distill.runtime.processes import Processes
from distill.runtime.progress import Progress
from distill.runtime.runtime import Runtime

if TYPE_CHECKING:
    from distill.models import LoadedModel
    from distill.models.sentence import SentenceFiles
    from distill.models.sentence_form import SentenceForm
    from distill.tracking import Tracker


T = TypeVar("T")
_JUDGING = 64


@dataclass(kw_only=True)
class Run:
    """One recipe under way: where it writes, what its stages returned so far, and the models they
    left.
    """

    file: RecipeFile
    folder: Path
    progress: Progress
    interruption: Interruption
    processes: Processes = field(default_factory=lambda: Processes(alone=True))
    records: dict[str, Record[Any]] = field(default_factory=dict)
    """Of the stages that are finished, by name."""
    forced: str | None = None
    """The stage that must not take anything over from before."""

    @cached_property
    def runtime(self) -> Runtime:
        """What the stages work with."""
        return Runtime(
            progress=self.progress,
            interruption=self.interruption,
            processes=self.processes,
            seed=self.recipe.seed,
        )

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, with what its teacher's own files say where it says nothing; as it is where
        they cannot be had.
        """
        from distill.models.sentence import as_files_say

        recipe = self.file.recipe
        with suppress(UserError, OSError, ValueError):  # it is told of where the teacher is checked
            teacher = as_files_say(recipe.teacher, self.sentence_files)
            recipe = recipe.model_copy(update={"teacher": teacher})
        return recipe

    @cached_property
    def sentence_files(self) -> SentenceFiles:
        """What the teacher's own files say of its vectors."""
        from distill.models.loading import sentence_folder
        from distill.models.sentence import read_sentence_files

        teacher = self.file.recipe.teacher
        return read_sentence_files(sentence_folder(teacher.model, teacher.revision))

    @cached_property
    def sentence_form(self) -> SentenceForm:
        """How the teacher's states become vectors, and those of what is made from it."""
        from distill.models.sentence_form import teacher_form

        return teacher_form(self.recipe.teacher)

    @cached_property
    def tracker(self) -> Tracker:
        """MLflow, reached when the first stage has something to say."""
        from distill.tracking import Tracker

        return Tracker(self.recipe.name, self.folder, self.progress)

    @cached_property
    def teacher(self) -> LoadedModel:
        """The untrimmed teacher, loaded once."""
        from distill.models import load_with_tokenizer

        self.progress.say(f"loading {self.recipe.teacher.model}", "dim")
        return load_with_tokenizer(self.recipe.teacher.model, self.recipe.teacher.revision)

    @cached_property
    def hashes(self) -> FileHashes:
        """Hashes of the files that stages read, kept beside the runs."""
        return FileHashes(self.folder.parent / ".hashes.json")

    def find(self, kind: type[T]) -> T | None:
        """The finished stage's result of that class, if there is one."""
        results = (record.result for record in self.records.values())
        return next((result for result in results if isinstance(result, kind)), None)

    def result(self, kind: type[T]) -> T:
        """The result of that class, of a stage that is finished."""
        result = self.find(kind)
        assert result is not None, f"the stage that returns {kind.__name__} has not run"
        return result

    @property
    def results(self) -> StageResults:
        """What the finished stages returned."""
        return StageResults(**{name: record.result for name, record in self.records.items()})

    @property
    def report(self) -> Report:
        """What is measured so far."""
        return Report.of(
            self.recipe,
            self.results,
            overrides=self.file.overrides,
            stages={name: record.identity for name, record in self.records.items()},
        )

    @property
    def kept_pieces(self) -> int | None:
        """How many pieces the vocabulary stage kept, if it need not run again."""
        vocabulary = self.find(VocabularyResult)
        return None if vocabulary is None else vocabulary.kept

    def texts(self, split: str) -> Iterator[str]:
        """The documents of a split, `train` or `heldout`."""
        from distill.corpus.documents import read_documents

        return (
            document.text for document in read_documents(self.folder / "corpus" / f"{split}.jsonl")
        )

    @property
    def reads_pairs(self) -> bool:
        """Whether the student learns from pairs of texts."""
        of_pairs = any(source.text_pair for source in self.recipe.corpus.sources)
        return of_pairs and bool(self.recipe.distillation.objectives.task)

    def learnt(self, split: str) -> Iterator[str] | Iterator[tuple[str, str]]:
        """What the student learns from of a split: its documents, or their pairs of texts."""
        from distill.corpus.documents import read_documents

        if not self.reads_pairs:
            return self.texts(split)
        documents = read_documents(self.folder / "corpus" / f"{split}.jsonl")
        return (document.pair for document in documents if document.pair is not None)

    def sentences(self) -> Iterator[tuple[int, str]]:
        """The held-out sentences, each with the number of its source."""
        from distill.corpus.documents import numbered_sentences

        return numbered_sentences(self.folder / "corpus" / "heldout.jsonl")

    def judging_sentences(self) -> list[str]:
        """The held-out sentences by which the files of an export are judged and proven."""
        return [sentence for _, sentence in islice(self.sentences(), _JUDGING)]

    def model_folder(self, name: str) -> Path:
        """The folder of a model by its name in the report; a baseline's name is its Hub id or
        folder.
        """
        from distill.models.loading import model_folder

        stages = {
            "trimmed": "vocabulary",
            "initial": "student",
            "untrained": "student",
            "student": "distillation",
        }
        if name == "teacher":
            return model_folder(self.recipe.teacher.model, self.recipe.teacher.revision)
        if name == "scratch":
            return self.folder / "evaluation" / "scratch" / "model"
        return (
            self.folder / stages[name] / "model" if name in stages else model_folder(name, "main")
        )

    def load(self, name: str) -> LoadedModel:
        """A model with its tokenizer, by its name in the report."""
        from distill.models import LoadedModel, load_model, load_tokenizer, load_with_tokenizer
        from distill.student.depth import untrained_copy

        if name == "teacher":
            return self.teacher
        if name not in OWN_MODELS:
            return load_with_tokenizer(name)
        if name == "scratch" and not self.model_folder(name).is_dir():
            raise UserError("scratch is trained by the evaluation; name it in evaluation.models.")
        folder = self.model_folder(name)
        model, tokenizer = load_model(folder), load_tokenizer(str(folder))
        return LoadedModel(
            model=untrained_copy(model, self.recipe.seed) if name == "untrained" else model,
            tokenizer=tokenizer,
        )
