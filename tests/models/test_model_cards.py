"""Every network has a card that says where it comes from, what it is for and where it ends."""

import shutil

from benchmarks.model_cards import manifest, problems, write_hashes


def test_every_card_is_complete_and_speaks_of_the_files_in_the_manifest(project):
    assert problems(project / "models") == []


def test_a_card_of_other_weights_is_noticed_and_can_be_renewed(project, tmp_path):
    models = tmp_path / "models"
    for model in manifest(project / "models"):
        (models / model).mkdir(parents=True)
        shutil.copy(project / "models" / model / "README.md", models / model)
    text = (project / "models" / "manifest.toml").read_text("utf-8")
    first = next(iter(manifest(project / "models")["plate_det"].values()))
    (models / "manifest.toml").write_text(text.replace(first, "0" * 64), "utf-8")
    (missing,) = problems(models)
    assert "plate_det" in missing
    assert "0" * 64 in missing
    write_hashes(models)
    assert problems(models) == []


def test_a_card_that_keeps_quiet_is_noticed(project, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(project / "models", models, ignore=shutil.ignore_patterns("*.py", "training"))
    card = models / "plate_rec" / "README.md"
    card.write_text(card.read_text("utf-8").replace("## Intended use and limits", ""), "utf-8")
    assert [p for p in problems(models) if "intended use" in p]
    card.unlink()
    assert [p for p in problems(models) if "no such card" in p]
