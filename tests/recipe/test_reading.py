"""From YAML text and --set overrides to a recipe, or to one message with every error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings, strategies as st

from distill.new.languages import find_language
from distill.recipe import Recipe, parse_count
from distill.recipe.language import checked_language, language_names
from distill.recipe.reading import find_recipe, list_recipes, load_recipe
from distill.recipe.yaml_file import parse_yaml
from distill.runtime.errors import UserError
from tests.conftest import ROOT

MINIMAL = """\
name: tiny
language: sv
teacher: {model: some/teacher}
corpus:
  sources:
    - hub: some/text
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """`load(text, *overrides)`: the recipe that the text stands for, in a working folder of its
    own.
    """
    monkeypatch.chdir(tmp_path)

    def load(text: str, *overrides: str) -> Recipe:
        Path("tiny.yaml").write_text(text, encoding="utf-8")
        return load_recipe("tiny.yaml", overrides).recipe

    return load


@pytest.fixture
def message(load):
    """`message(text, *overrides)`: what the user is told is wrong."""

    def message(text: str, *overrides: str) -> str:
        with pytest.raises(UserError) as caught:
            load(text, *overrides)
        return str(caught.value)

    return message


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (1500, 1500),
        ("1500", 1500),
        ("400k", 400_000),
        ("400M", 400_000_000),
        ("1.5B", 1_500_000_000),
        ("2.5k", 2500),
        ("1_000", 1000),
        (" 7 M ", 7_000_000),
    ],
)
def test_a_count_may_end_in_k_m_or_b(written, meant):
    assert parse_count(written) == meant


@pytest.mark.parametrize(
    "written",
    ["1.5", "400K", "-3k", "k", "", "1e3", "1.0001k", "4 00k0", None, 2.5, "9" * 400 + "M"],
)
def test_what_is_no_count_is_left_to_the_type_check(written):
    assert parse_count(written) is written


@pytest.mark.parametrize("count", ["0", "-5", "1.5", "0k", "many", ".inf", "[1]", "9" * 5000])
def test_a_count_that_is_not_a_positive_whole_number_is_an_error(message, count):
    assert "distillation.tokens" in message(MINIMAL, f"distillation.tokens={count}")


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("seed=3", lambda r: r.seed, 3),
        ("distillation.tokens=400k", lambda r: r.distillation.tokens, 400_000),
        ("distillation.learning_rate=1e-4", lambda r: r.distillation.learning_rate, 1e-4),
        (
            "distillation.objectives.relations=0.5",
            lambda r: r.distillation.objectives.relations,
            0.5,
        ),
        ("vocabulary.alphabet=false", lambda r: r.vocabulary.alphabet, False),
        ("student.layers=[1, 2]", lambda r: r.student.layers, [1, 2]),
        ("student={layers: 3}", lambda r: r.student.layers, 3),
        ("corpus.sources.0.hub=other/text", lambda r: r.corpus.sources[0].hub, "other/text"),
        ("corpus.sources.0.max_bytes=2GB", lambda r: r.corpus.sources[0].max_bytes, 2_000_000_000),
        ("teacher.prefixes.query='query: '", lambda r: r.teacher.prefixes.query, "query: "),
        ("teacher.model=a/b=c", lambda r: r.teacher.model, "a/b=c"),
        ("language=no", lambda r: r.language, "no"),
    ],
)
def test_an_override_sets_one_key_to_a_yaml_value(load, override, read, value):
    assert read(load(MINIMAL, override)) == value


def test_an_override_leaves_the_other_keys_of_its_section(load):
    recipe = load(MINIMAL + "student: {layers: 4, intermediate_size: 512}\n", "student.layers=2")
    assert (recipe.student.layers, recipe.student.intermediate_size) == (2, 512)


def test_an_override_wins_over_the_file_and_the_later_over_the_earlier(load):
    assert load(MINIMAL + "seed: 1\n").seed == 1
    assert load(MINIMAL + "seed: 1\n", "seed=2", "seed=3").seed == 3


def test_an_override_may_mend_an_error_of_the_file(load):
    assert load(MINIMAL + "seed: wrong\n", "seed=2").seed == 2


@pytest.mark.parametrize(
    "override",
    [
        *(
            "seed",
            "=3",
            "",
            "student..layers=3",
            ".seed=1",
            "name.first=x",
            "corpus.sources.7.hub=x",
            "0=x",
        ),
        *("corpus.sources.x=1", "corpus.sources.²=x", f"corpus.sources.{'9' * 5000}=x"),
        *("seed=[1", "seed={a: 1, a: 2}", " =x", "a-b=1", "int=1"),
    ],
)
def test_an_override_that_cannot_be_applied_is_named(message, override):
    assert f"--set {override}" in message(MINIMAL, override)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seed=x", "seed"),
        ("student.layers=0", "student.layers"),
        ("student={layers: 0}", "student.layers"),
        ("student={layer: 6}", "student.layer"),
        ("corpus.sources=[{hub: a/b, colunm: x}]", "corpus.sources.0.colunm"),
        ("vocabulary.size=100", "vocabulary"),
    ],
)
def test_an_error_that_an_override_caused_names_the_override(message, override, key):
    told = message(MINIMAL + "vocabulary: {min_count: 3}\n", override)
    assert f"--set {override}: {key}: " in told
    assert "line " not in told


def test_an_error_of_the_file_is_not_blamed_on_an_override(message):
    told = message(MINIMAL + "seed: x\n", "student.layers=3")
    assert "line 7: seed: " in told
    assert "--set" not in told


@pytest.mark.parametrize(
    ("addition", "expected"),
    [
        ("seeed: 1\n", "line 7: seeed: unknown key; did you mean seed?"),
        (
            "distillation:\n  tokens: 1k\n  learning_rat: 1\n",
            "line 9: distillation.learning_rat: unknown key; did you mean",
        ),
        (
            "distillation:\n  batch-tokens: 1k\n",
            "line 8: distillation.batch-tokens: unknown key; did you mean batch_tokens?",
        ),
        ("zzzz: 1\n", "line 7: zzzz: unknown key; known keys: name, language"),
        ("str: 1\n", "line 7: str: unknown key"),
        ("a b: 1\n", "line 7: a b: unknown key"),
        ("seed: many\n", "line 7: seed: input should be a valid integer"),
        ("student: 6\n", "line 7: student: "),
        ("student: {layers: six}\n", "line 7: student.layers: "),
        ("student: {layers: [2, 1]}\n", "line 7: student: a list of layers names at least one"),
        (
            "vocabulary:\n  min_count: 1\n  size: 9\n",
            "line 7: vocabulary: cannot aim at both min_count and size; choose one",
        ),
        (
            "vocabulary: {identical: 0.9, floor: 0.95}\n",
            "line 7: vocabulary: identical 0.9 lies below floor 0.95",
        ),
        (
            "vocabulary: {keep: {pattern: '('}}\n",
            "line 7: vocabulary.keep.pattern: should be a regular expression; '(' is none",
        ),
        (
            "vocabulary: {keep: {peaces: [a]}}\n",
            "line 7: vocabulary.keep.peaces: unknown key; did you mean pieces?",
        ),
        (
            "vocabulary: {lexicon: '${NO_SUCH}/words.txt'}\n",
            "line 7: vocabulary.lexicon: ${NO_SUCH}/words.txt names the",
        ),
        (
            "distillation: {minutes: 0}\n",
            "line 7: distillation.minutes: input should be greater than 0",
        ),
        (
            "distillation: {objectives: {hidden: 0}}\n",
            "line 7: distillation.objectives: all weights are 0",
        ),
        (
            "distillation: {chunk_words: [9, 3]}\n",
            "line 7: distillation: chunk_words goes from few to many",
        ),
        (
            "evaluation:\n  models: [student_int8]\n",
            "line 7: evaluation: models names student_int8, which is measured in the",
        ),
        (
            "evaluation:\n  models: [teacher, teacher]\n",
            "line 7: evaluation: models names teacher twice",
        ),
        (
            "evaluation:\n  models:\n    - teacher\n    - teecher\n",
            "line 10: evaluation.models.1: ",
        ),
        ("benchmark: {threads: [0]}\n", "line 7: benchmark.threads.0: "),
        ("benchmark: {models: []}\n", "line 7: benchmark.models: "),
        (
            "benchmark:\n  models:\n    - teacher\n    - studnet_int8\n",
            "line 10: benchmark.models.1: there is no model 'studnet_int8'; did you mean "
            "student_int8? or a Hub id",
        ),
        ("1: 2\n", "line 7: 1: "),
        ("seed: null\n", "line 7: seed: input should be a valid integer; found nothing"),
    ],
)
def test_an_error_names_its_line_its_key_and_what_would_be_right(message, addition, expected):
    assert f"  {expected}" in message(MINIMAL + addition)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{}", "a source is one of hub, path or package; found none of them"),
        ("{hub: a/b, path: c.txt}", "a source is one of hub, path or package; found hub and path"),
        ("{package: p}", "a package source needs `files`"),
        ("{path: c.txt, files: '*'}", "`files` goes with `package`"),
        (
            "{path: '${NOT_SET_ANYWHERE}/c.txt'}",
            "names the environment variable NOT_SET_ANYWHERE, which is not set",
        ),
        ("{hub: a/b, max_bytes: lots}", "max_bytes"),
        ("{hub: a/b, max_bytes: " + "9" * 400 + "GB}", "max_bytes"),
        ("{hub: a/b, format: docx}", "format"),
    ],
)
def test_a_source_that_contradicts_itself_is_an_error(message, source, expected):
    told = message(MINIMAL.replace("- hub: some/text", f"- {source}"))
    assert "line 6: corpus.sources.0" in told
    assert expected in told


def test_a_path_takes_values_of_the_environment(load, monkeypatch):
    monkeypatch.setenv("SOME_FOLDER", "/texts")
    recipe = load(MINIMAL.replace("hub: some/text", "path: ${SOME_FOLDER}/c.txt"))
    assert recipe.corpus.sources[0].filled_path == "/texts/c.txt"


def test_word_lists_take_values_of_the_environment(load, monkeypatch):
    monkeypatch.setenv("LISTS", "/lists")
    vocabulary = load(
        MINIMAL + "vocabulary: {lexicon: '${LISTS}/sv.txt', keep: {terms: '${LISTS}/terms.txt'}}\n"
    ).vocabulary
    assert [source.path for source in vocabulary.word_lists] == [
        "/lists/sv.txt",
        "/lists/terms.txt",
    ]


def test_a_list_of_pieces_is_short_for_keeping_them(load):
    assert load(MINIMAL + "vocabulary: {keep: ['▁kWh', '##en']}\n").vocabulary.keep.pieces == [
        "▁kWh",
        "##en",
    ]


def test_every_error_is_reported_in_one_go(message):
    told = message(
        MINIMAL.replace("name: tiny\n", "") + "seed: x\nstudnet: {}\n", "distillation.tokens=-1"
    )
    assert told.splitlines()[0].endswith("4 errors in the recipe:")
    for part in (
        "name: is missing",
        "line 6: seed:",
        "line 7: studnet:",
        "--set distillation.tokens=-1: distillation.tokens:",
    ):
        assert part in told


def test_norwegian_is_a_language(load):
    assert load(MINIMAL.replace("sv", "no")).language == "no"


@pytest.mark.parametrize(
    ("written", "meant"), [("dk", "da (Danish)"), ("jp", "ja (Japanese)"), ("xx", "ISO 639")]
)
def test_a_code_that_is_no_languages_is_refused_with_the_one_that_was_probably_meant(
    message, written, meant
):
    told = message(MINIMAL.replace("sv", written))
    assert f"line 2: language: there is no language {written}; " in told
    assert meant in told


@given(st.sampled_from(sorted(language_names())))
@settings(max_examples=30, deadline=None)
def test_every_language_that_a_new_recipe_can_be_of_may_be_named(code):
    assert checked_language(find_language(code).code) == find_language(code).code


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: [a\nlanguage: sv\n", "line 2, column"),
        ("name: tiny\nname: twice\n", "line 2, column 1"),
        ("teacher:\n  model: a\n  model: b\n", "line 3, column 3"),
        ("name: tiny\n\tlanguage: sv\n", "line 2, column 1"),
        ("name: *unknown\n", "line 1, column 7"),
        ("name: !!python/object:os.system x\n", "line 1, column 7"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1"),
    ],
)
def test_yaml_that_does_not_parse_is_told_with_line_and_column(message, text, place):
    assert message(text).startswith(f"tiny.yaml, {place}")


@pytest.mark.parametrize("text", ["- name: tiny\n", "tiny", "", "# nothing\n", "3"])
def test_a_recipe_that_is_no_mapping_is_an_error(message, text):
    assert "a recipe is a mapping" in message(text)


def test_a_file_that_is_not_utf8_is_an_error(tmp_path):
    (tmp_path / "tiny.yaml").write_bytes(MINIMAL.replace("tiny", "småland").encode("latin-1"))
    with pytest.raises(UserError, match="cannot be read as UTF-8"):
        load_recipe(str(tmp_path / "tiny.yaml"))


def test_a_byte_order_mark_is_no_error(load):
    assert load("\ufeff" + MINIMAL).name == "tiny"


@pytest.mark.parametrize("name", ["../up", "a b", "", ".hidden", "å", "x" * 97])
def test_a_name_that_is_no_folder_name_is_an_error(message, name):
    assert "name: " in message(MINIMAL.replace("tiny", repr(name)))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_recipe_loads(path, monkeypatch):
    monkeypatch.setenv("DISTILL_DATA", "data")
    assert load_recipe(str(path)).recipe.name == path.stem


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_recipe_says_how_it_is_run(path):
    head = path.read_text(encoding="utf-8").split("\nname:")[0]
    assert "python -m distill" in head and path.stem in head


def test_shipped_recipes_are_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [path.stem for path in list_recipes()] == sorted(
        path.stem for path in (ROOT / "recipes").glob("*.yaml")
    )
    assert (
        find_recipe("quickstart")
        == find_recipe("quickstart.yaml")
        == ROOT / "recipes" / "quickstart.yaml"
    )


def test_a_recipe_of_the_working_folder_comes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart.yaml").write_text(MINIMAL)
    assert load_recipe("quickstart").recipe.name == "tiny"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("quickstrat", "did you mean quickstart?"),
        ("zzz", "known recipes:"),
        ("x" * 300, "There is no recipe"),
        ("nul\0", "There is no recipe"),
        (".", "is a folder"),
        ("", "There is no recipe"),
    ],
)
def test_a_recipe_that_is_not_found_comes_with_a_hint(tmp_path, monkeypatch, name, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=hint.replace("?", r"\?")):
        find_recipe(name)


def _laughs(levels: int) -> str:
    """A YAML text of a few hundred bytes that stands for 10^levels values."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + f"\ncorpus: {{sources: *l{levels - 1}}}\nname: *l{levels - 1}\n"


_SECTIONS = st.sampled_from(
    [
        *Recipe.model_fields,
        "objectives",
        "sources",
        "layers",
        "path",
        "x-y",
        "1",
        "<<",
        "=",
        "int",
        "",
    ]
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.binary(max_size=3),
    _SECTIONS,
)
_DATA = st.dictionaries(
    _SECTIONS,
    st.recursive(
        _SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_SCALARS, inner, max_size=3),
    ),
    max_size=4,
)
_ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _loads_or_explains(path: Path, text: str, *overrides: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
    try:
        load_recipe(str(path), overrides)
    except UserError as error:
        assert str(error).strip()


@_ANY
@example("\0")
@example("\t- a")
@example("a: \ud7ff\ufffe")
@example("[" * 5000)
@example("{a: " * 200 + "1" + "}" * 200)
@example("a: &a [*a]\nname: *a\n")
@example("corpus: &c\n  sources: *c\n")
@example("? [a]\n: b\n")
@example("? {a: b}\n: c\n")
@example("seed: " + "9" * 5000)
@example("seed: !!int ''")
@example("seed: !!bool maybe")
@example("seed: !!timestamp soon")
@example("seed: 0001-01-01T00:00:00+23:00")
@example("seed: 2024-99-99")
@example("corpus: !!map [a]")
@example("corpus: !!map ab")
@example("corpus: !!set {a, b}\nname: !!omap [a: 1]\n")
@example("<<: {name: a}\n<<: {name: b}\n")
@example("<<: 1")
@example("=: 1")
@example("null: 1\ntrue: 2\n1.5: 3\n2024-01-01: 4\n'': 5\n~: 6\n")
@example(_laughs(9))
@given(text=st.text(st.characters(codec="utf-8")) | st.text("ab:-[]{}&*!|>'\"%@?#,. \n\t~=<0129"))
def test_any_text_as_a_recipe_either_loads_or_is_explained(tmp_path, text):
    _loads_or_explains(tmp_path / "any.yaml", text)
    _loads_or_explains(tmp_path / "any.yaml", MINIMAL + text)


@_ANY
@given(data=_DATA)
def test_any_values_under_a_recipes_keys_either_load_or_are_explained(tmp_path, data):
    base = parse_yaml(MINIMAL, "minimal")
    _loads_or_explains(tmp_path / "any.yaml", yaml.safe_dump({**base, **data}, allow_unicode=True))


_KEYS = st.lists(_SECTIONS | st.text(max_size=4) | st.integers().map(str), max_size=4).map(".".join)


@_ANY
@example("name=\0")
@example("corpus.sources.0=" + "[" * 3000)
@example("corpus.sources.0.path=" + "9" * 5000)
@example("corpus.sources=" + "&a [*a]")
@example("\ud800=\ud800")
@given(
    override=st.text()
    | st.tuples(_KEYS, st.text(max_size=12) | _DATA.map(lambda d: yaml.safe_dump(d))).map("=".join)
)
def test_any_override_is_either_applied_or_explained(tmp_path, override):
    _loads_or_explains(tmp_path / "any.yaml", MINIMAL, override)


@pytest.mark.parametrize(
    "override",
    ["distillation.tokens=true", "student.layers=true", "seed=false", "benchmark.seconds=.inf"],
)
def test_true_and_infinity_are_no_numbers_of_a_recipe(override):
    with pytest.raises(UserError, match=re.escape(override)):
        load_recipe("quickstart", [override])


SEVERAL = MINIMAL.replace("language: sv", "language: [sv, en]")


def test_a_recipe_of_several_languages_says_which_each_source_is_in(load):
    sources = "[{path: a.txt, language: sv}, {path: b.txt, language: en}]"
    recipe = load(SEVERAL, f"corpus.sources={sources}")
    assert recipe.languages == ("sv", "en") and recipe.text_languages == ["sv", "en"]
    assert load(MINIMAL.replace("language: sv", "language: [sv]")).language == "sv"


@pytest.mark.parametrize(
    ("language", "sources", "expected"),
    [
        ("[sv, en]", "[{path: a.txt, language: sv}]", "no source of corpus.sources is in en"),
        ("[sv, en]", "[{path: a.txt}]", "corpus.sources.0 does not say its language"),
        ("sv", "[{path: a.txt, language: en}]", "is in en, which is not among"),
        ("[sv, swe]", "[{path: a.txt, language: sv}]", "names sv twice"),
        ("[sv, xq]", "[{path: a.txt, language: sv}]", "there is no language xq"),
        ("[]", "[{path: a.txt}]", "names no language"),
        ("[sv, 3]", "[{path: a.txt}]", "found 3"),
        ("Swedish", "[{path: a.txt}]", "found 'Swedish'"),
    ],
)
def test_languages_that_cannot_be_are_told_in_a_sentence(load, language, sources, expected):
    text = MINIMAL.replace("language: sv", f"language: {language}")
    with pytest.raises(UserError) as told:
        load(text, f"corpus.sources={sources}")
    assert expected in str(told.value) and "1 error" in str(told.value)
