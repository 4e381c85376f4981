"""server.toml: the example is the defaults, and what is wrong is named where it stands."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from server.errors import SettingsError
from server.settings import Settings, load_settings


def test_the_example_is_exactly_the_defaults(project: Path) -> None:
    assert load_settings(project / "config/server.example.toml", {}) == Settings()


def keys(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: keys(field.annotation)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        else None
        for name, field in model.model_fields.items()
    }


def test_the_example_shows_every_key_with_a_comment(project: Path) -> None:
    """Keys whose default is "none" stand there commented out."""
    text = (project / "config/server.example.toml").read_text(encoding="utf-8")
    given = tomllib.loads(text)
    for section, inner in keys(Settings).items():
        if inner is None:
            assert section in given
            continue
        assert set(given[section]) <= set(inner)
        body = text.partition(f"[{section}]")[2].partition("\n[")[0]
        for key in inner:
            assert f"\n{key} = " in body or f"\n# {key} = " in body, (section, key)
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line and line[0].isalpha():
            above = lines[number - 1]
            # a comment above, or a key that shares the comment of the key above it
            assert above.startswith("#") or above[:1].isalpha(), line


@pytest.mark.parametrize("model", [Settings, *[f.annotation for f in Settings.model_fields.values()
                                               if isinstance(f.annotation, type)
                                               and issubclass(f.annotation, BaseModel)]])  # fmt: skip
def test_every_field_is_described(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        is_section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        assert is_section or field.description, name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[http]\nprot = 1\n", "http.prot: unknown key; did you mean port?"),
        ("[http]\nport = 99999\n", "http.port: Input should be less than or equal to 65535"),
        ("[alerts]\nrepeat_s = 'soon'\n", "alerts.repeat_s: Input should be a valid number"),
        ("[alerts]\nrepeat_s = nan\n", "alerts.repeat_s: Input should be"),
        ("datadir = 'x'\n", "datadir: unknown key; did you mean data_dir?"),
        ("[display]\ntime_zone = 'Mars/Olympus'\n", "display.time_zone"),
        ("[search]\npurposes = []\n", "search.purposes"),
        ("[http\n", "not TOML"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(file, {})
    assert str(error.value).startswith(f"{file}: ")
    assert said in str(error.value)


def test_a_missing_file_and_a_binary_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read"):
        load_settings(tmp_path / "none.toml", {})
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SettingsError, match=r"picture\.toml: not UTF-8"):
        load_settings(tmp_path / "picture.toml", {})


def test_the_environment_wins_over_the_file_and_is_named_when_wrong(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[http]\nport = 1\n", encoding="utf-8")
    environ = {
        "KAKOU_HTTP__PORT": "2",
        "KAKOU_SEARCH__PURPOSES": '["a", "b"]',
        "KAKOU_DATA_DIR": "/srv/kakou",
        "KAKOU_IMAGERY": "not a setting of the server",
        "HOME": "/",
    }
    settings = load_settings(file, environ)
    assert settings.http.port == 2
    assert settings.search.purposes == ("a", "b")
    assert settings.data_dir == Path("/srv/kakou")
    with pytest.raises(SettingsError, match=r"environment variable KAKOU_HTTP__PORT: http\.port"):
        load_settings(file, {"KAKOU_HTTP__PORT": "many"})
    with pytest.raises(SettingsError, match="KAKOU_DATABSE__URL: databse: unknown key; did you"):
        load_settings(None, {"KAKOU_DATABSE__URL": "x"})


def test_the_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[http]\nport = 3\n", encoding="utf-8")
    assert load_settings(None, {"KAKOU_CONFIG": str(file)}).http.port == 3
