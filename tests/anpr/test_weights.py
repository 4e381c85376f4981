"""A wrong, missing or altered weight file is an error at start that names the file."""

import pytest

from anpr import load_reader
from anpr.errors import WeightsError
from anpr.weights import load_model, main, models_folder

FILES = [
    "plate_det/detector.onnx",
    "plate_rec/inference.onnx",
    "plate_rec/inference.yml",
    "plate_color/color.onnx",
]


def load(folder):
    return load_reader(folder, recogniser="onnxruntime")


def test_an_intact_folder_loads(tiny_models):
    reader = load(tiny_models)
    assert reader.detector_name.startswith("plate_det-tiny@")
    assert reader.recogniser_name.startswith("plate_rec-tiny@")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(tiny_models, file):
    (tiny_models / file).unlink()
    with pytest.raises(WeightsError, match=file):
        load(tiny_models)


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_bit_is_noticed_and_the_file_named(tiny_models, file):
    content = bytearray((tiny_models / file).read_bytes())
    content[len(content) // 2] ^= 1
    (tiny_models / file).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{file}: sha256"):
        load(tiny_models)


@pytest.mark.parametrize("file", [f for f in FILES if f.endswith(".onnx")])
def test_a_file_that_is_no_network_is_named_even_if_its_hash_is_right(tiny_models, file):
    (tiny_models / file).write_bytes(b"not a network")
    assert main([str(tiny_models), "--write"]) == 0
    with pytest.raises(WeightsError, match=rf"{file}: not a network"):
        load(tiny_models)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"\[plate_rec\]: no such table"),
        ("not toml at all", r"manifest\.toml"),
        ('[plate_rec]\nname = "x"\n', "needs a name and a table of files"),
    ],
)
def test_a_malformed_manifest_is_named(tiny_models, text, message):
    (tiny_models / "manifest.toml").write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=message):
        load_model(tiny_models, "plate_rec")


def test_a_folder_without_manifest_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KAKOU_MODELS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"manifest\.toml: no such file"):
        models_folder()


def test_the_committed_models_are_what_their_manifest_says(project):
    """The weights in the project itself: hashes, and a size that can be cloned by everyone."""
    folder = models_folder(project / "models")
    sizes = [
        path.stat().st_size
        for table in ("plate_det", "plate_rec", "plate_color")
        for path in load_model(folder, table).files.values()
    ]
    assert sum(sizes) <= 25_000_000


def test_checking_a_folder_says_what_is_wrong(tiny_models, capsys):
    assert main([str(tiny_models)]) == 0
    (tiny_models / FILES[0]).write_bytes(b"x")
    assert main([str(tiny_models)]) == 1
    assert FILES[0] in capsys.readouterr().err
