"""One cv2 on disk (docs/decisions/0003)."""

from importlib.metadata import distribution, packages_distributions


def test_exactly_one_distribution_owns_cv2() -> None:
    assert packages_distributions()["cv2"] == ["opencv-python"]


def test_the_shim_answers_to_the_name_and_holds_no_code() -> None:
    shim = distribution("opencv-contrib-python")
    modules = [f for f in shim.files or () if f.suffix in {".py", ".so"}]
    assert shim.version == "4.10.0.84"
    assert modules == []
