from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.conduct import policy
from control_plane.conduct.policy import Policy
from control_plane.settings import ConfigurationError
from tests.control_plane.test_folding import disguised

HARMLESS = Path(__file__).with_name("harmless_prompts.txt").read_text(encoding="utf-8").splitlines()
SHIPPED = policy.read()

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a policy file of this text, with a version in front."""

    def write(text: str) -> Path:
        path = tmp_path / "policy.toml"
        path.write_text(f"version = 7\n{text}", encoding="utf-8")
        return path

    return write


@pytest.fixture
def rules(write: Write) -> Policy:
    return policy.read(
        write(
            """
            [categories.violence]
            words = ["behead*", "cut to pieces", "*裸*", "sci-fi gore"]
            patterns = ['\\bbomb (plan|recipe)s?\\b']
            together = [[["corpse"], ["real photo*", '/\\bleak(ed)?\\b/']]]
            always = ["gorecore"]
            """
        )
    )


def test_two_hundred_ordinary_prompts_pass() -> None:
    assert len(set(HARMLESS)) >= 200
    assert {prompt: found for prompt in HARMLESS if (found := SHIPPED.category(prompt))} == {}


@pytest.mark.parametrize(
    ("prompt", "refused"),
    [
        ("they behead a king", True),
        ("BEHEADING", True),
        ("a beheaded statue, marble", True),
        ("bee heads in a row", False),
        ("cut to pieces", True),
        ("cut, to-pieces!", True),
        ("cut into pieces", False),
        ("a bomb recipe", True),
        ("BOMB\nPLANS", True),
        ("bath bomb", False),
        ("a corpse", False),
        ("real photograph of a corpse", True),
        ("a corpse, l3ak", False),
        ("leaked: a corpse", True),
        ("風景裸婦画", True),
        ("sci-fi gore", True),
        ("scifi gore", False),
        ("gorecore", True),
    ],
)
def test_words_patterns_and_company(rules: Policy, prompt: str, refused: bool) -> None:
    assert rules.category(prompt) == ("violence" if refused else None)


def test_to_exclude_something_is_no_offence(rules: Policy) -> None:
    assert rules.category_of_negative("behead, corpse, leaked") is None
    assert rules.category_of_negative("nsfw, nude, child, children, loli, bad hands") is None
    assert rules.category_of_negative("gorecore") == "violence"
    assert rules.category_of_negative("pthc") == "minors"
    assert rules.category_of_negative("") is None


@given(
    st.sampled_from(["gangrapes", "raping", "lolicon", "molested"]).flatmap(disguised),
    st.sampled_from(["a {} scene", "{}", "x, {}!"]),
)
@settings(max_examples=300, deadline=None)
def test_no_disguise_gets_a_word_through(word: str, place: str) -> None:
    assert SHIPPED.category(place.format(word)) in {"sexual_violence", "minors"}


@pytest.mark.parametrize(
    "prompt",
    [
        "a naked 12 year old",
        "nude, 15yo girl",
        "sexy fifteen-year-old",
        "NAKED CHILD",
        "n4k3d chiIdren",
        "nаkеd tееnаger",
        "lingerie, aged 14",
        "loli",
        "l o l i c o n",
        "школьница голая",
        "ロリコンアニメ",
        "porn\nwith underage people",
    ],
)
@pytest.mark.parametrize(
    "text", ["", "[categories.minors]\n", "[categories.minors]\nwords = []\ntogether = []\nalways = []\n"]
)
def test_the_section_on_minors_cannot_be_emptied(write: Write, text: str, prompt: str) -> None:
    assert policy.read(write(text)).category(prompt) == "minors"


def test_a_file_adds_to_the_section_on_minors(write: Write) -> None:
    assert policy.read(write('[categories.minors]\nwords = ["codeword"]\n')).category("c0deword") == "minors"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version = 8", "Cannot overwrite|Key"),
        ("[categories.a]\nwrods = []", "unknown field `wrods`"),
        ("[categories.A]\n", "matching regex"),
        ("[minors]\nenabled = false", "unknown field `minors`"),
        ('[categories.a]\nwords = ["*"]', "would match any word"),
        ('[categories.a]\nwords = ["a * b"]', "would match any word"),
        ('[categories.a]\nwords = ["!!"]', "would match any word"),
        ('[categories.a]\nwords = [" "]', "a word is empty"),
        ('[categories.a]\npatterns = ["x*"]', "would match everything"),
        ('[categories.a]\npatterns = ["(a"]', "RE2 does not take"),
        ('[categories.a]\npatterns = ["(?=a)b"]', "RE2 does not take"),
        ('[categories.a]\ntogether = [[["a"]]]', "length >= 2"),
        ('[categories.a]\ntogether = [[["a"], []]]', "is empty"),
        ('[inputs]\nsha256 = ["ab"]', "matching regex"),
        ("\ud800", "cannot be read"),
        ("deep = " + "[" * 50_000, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(write: Write, tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(f"version = 7\n{text}".encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigurationError, match=told):
        policy.read(path)


def test_a_version_must_be_given_and_a_file_be_there(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("[categories]")
    with pytest.raises(ConfigurationError, match="missing required field `version`"):
        policy.read(tmp_path / "policy.toml")
    with pytest.raises(ConfigurationError, match="No such file"):
        policy.read(tmp_path / "nowhere.toml")


def test_a_file_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("version = 1\n#" + "x" * policy.FILE_BYTES_MAX)
    with pytest.raises(ConfigurationError, match="bytes"):
        policy.read(tmp_path / "policy.toml")


def test_ten_thousand_words_are_looked_for_at_once(write: Write) -> None:
    words = ", ".join(f'"badword{number}x"' for number in range(policy.TERMS_MAX))
    rules = policy.read(write(f"[categories.a]\nwords = [{words}]\n"))
    assert rules.category("a b4dw0rd9999x there") == "a"
    assert rules.category("a badword there") is None
