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
