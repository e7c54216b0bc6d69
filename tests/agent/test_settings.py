"""Where the agent's settings come from and what happens when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.settings import ConfigurationError, load


def test_an_option_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("slots = 2\ntestcard_seconds = 0.5\nengine = 'testcard'\n")
    environ = {"TESSERA_AGENT_CONFIG": str(file), "TESSERA_AGENT_SLOTS": "3", "TESSERA_AGENT_TESTCARD_SECONDS": "1.5"}
    settings = load(environ, {"slots": 4, "engine": None})
    assert (settings.slots, settings.testcard_seconds, settings.engine) == (4, 1.5, "testcard")


def test_everything_wrong_is_named_at_once_with_what_is_allowed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"TESSERA_AGENT_SLOTS": "many", "TESSERA_AGENT_COMFYUI_URL": "localhost"}, {"local_port": 70_000})
    told = str(caught.value)
    assert "TESSERA_AGENT_SLOTS is 'many', but must be a whole number from 1 to 16." in told
    assert "TESSERA_AGENT_COMFYUI_URL" in told
    assert "--local-port is '70000'" in told


def test_a_setting_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TESSERA_AGENT_SLOT is not a setting"):
        load({"TESSERA_AGENT_SLOT": "1"})
    file = tmp_path / "agent.toml"
    file.write_text("slot = 2")
    with pytest.raises(ConfigurationError, match="no setting 'slot'"):
        load({"TESSERA_AGENT_CONFIG": str(file)})


def test_other_programs_variables_are_none_of_our_business() -> None:
    assert load({"TESSERA_PORT": "nonsense"}).slots == 1


def test_a_home_folder_is_understood(tmp_path: Path) -> None:
    assert load({"TESSERA_AGENT_DIR": str(tmp_path)}).credential_file == tmp_path / "credential.json"
    assert load({"TESSERA_AGENT_DIR": "~/somewhere"}).dir == Path.home() / "somewhere"


def _file(folder: Path, text: str) -> dict[str, str]:
    file = folder / "agent.toml"
    file.write_text(text)
    return {"TESSERA_AGENT_CONFIG": str(file)}


def test_every_card_has_a_table_and_what_it_leaves_out_is_as_set_for_all(tmp_path: Path) -> None:
    text = """
        comfyui_dir = "~/ComfyUI"
        comfyui_args = ["--lowvram"]
        [[engine]]
        device = "0"
        [[engine]]
        device = "GPU-5b1c"
        comfyui_args = []
        [[engine]]
        engine = "comfyui"
        comfyui_url = "http://127.0.0.1:8200"
        [[engine]]
        comfyui_image = "localhost/tessera-comfyui:1"
    """
    first, second, driven, contained = load(_file(tmp_path, text)).cards
    assert (first.comfyui_dir, first.device, first.comfyui_args) == (Path.home() / "ComfyUI", "0", ["--lowvram"])
    assert (second.device, second.comfyui_args, second.is_supervised) == ("GPU-5b1c", [], True)
    assert (driven.comfyui_dir, driven.comfyui_url, driven.is_supervised) == (None, "http://127.0.0.1:8200", False)
    assert (contained.comfyui_dir, contained.comfyui_image) == (None, "localhost/tessera-comfyui:1")


def test_several_slots_of_one_comfyui_folder_get_a_gpu_each() -> None:
    environ = {"TESSERA_AGENT_COMFYUI_DIR": "/opt/comfyui", "TESSERA_AGENT_COMFYUI_ARGS": "--fast '--x=a b'"}
    assert [card.device for card in load(environ, {"slots": 2}).cards] == ["0", "1"]
    assert load(environ, {"device": "3"}).cards[0].device == "3"
    assert load(environ).cards[0].comfyui_args == ["--fast", "--x=a b"]
    assert [card.device for card in load({}, {"slots": 2}).cards] == [None, None]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("gpu = 1", r"\[\[engine\]\] 1: there is no setting 'gpu'"),
        ("slots = 2", "there is no setting 'slots'"),
        ("device = '$(rm)'", r"\[\[engine\]\] 1: "),
        ("comfyui_dir = '/a'\ncomfyui_image = 'b'", "one of them is enough"),
        ("\n[[engine]]" * 16, "at most 16"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_number(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(_file(tmp_path, f"[[engine]]\n{table}"))
