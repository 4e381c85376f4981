"""What is served to the browser: known files, from here only, fit for a strict policy."""

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "server" / "web"
STATIC = WEB / "static"
VENDOR = STATIC / "vendor"
OWN = sorted(
    file
    for folder in ("css", "js", "img", "map")
    for file in (STATIC / folder).rglob("*")
    if file.is_file()
)
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
NAMESPACE = "http://www.w3.org/"
"""The name of SVG; never fetched."""


def vendored() -> dict[str, str]:
    packages = tomllib.loads((VENDOR / "vendor.toml").read_text(encoding="utf-8"))["package"]
    for package in packages:
        assert package.keys() == {"name", "version", "licence", "why", "files"}
        assert any("LICENSE" in name for name in package["files"]), package["name"]
    return {name: digest for package in packages for name, digest in package["files"].items()}


def test_vendored_files_are_the_published_ones_and_no_others() -> None:
    here = {
        file.relative_to(VENDOR).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.rglob("*")
        if file.is_file() and file.name != "vendor.toml"
    }
    assert here == vendored()


@pytest.mark.parametrize("file", [*OWN, *TEMPLATES], ids=lambda file: file.name)
def test_nothing_points_to_another_machine(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace(NAMESPACE, "")
    assert re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.\w+", text) == []


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_templates_have_no_inline_script_style_or_handler(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", text) == []
    for attributes, body in re.findall(r"<script\b([^>]*)>(.*?)</script>", text, re.DOTALL):
        assert "src=" in attributes or 'type="application/json"' in attributes
        assert "src=" not in attributes or not body.strip()


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_every_form_that_changes_something_carries_the_token(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", text, re.DOTALL):
        if 'action="/login"' not in form:
            assert "csrf" in form


@pytest.mark.parametrize("file", sorted((STATIC / "js").glob("*.js")), ids=lambda file: file.name)
def test_a_script_stays_small_and_builds_no_html(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text) == []
    )


def test_the_map_needs_no_glyph_server_and_no_tiles() -> None:
    style = json.loads((STATIC / "map" / "style.json").read_text(encoding="utf-8"))
    assert "glyphs" not in style
    assert "sprite" not in style
    assert {source["type"] for source in style["sources"].values()} == {"geojson"}


def test_every_static_file_that_a_template_names_exists() -> None:
    for template in TEMPLATES:
        for path in re.findall(r"static\('([^']+)'\)", template.read_text(encoding="utf-8")):
            assert (STATIC / path).is_file(), f"{template.name}: {path}"


def luminance(color: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_computed_as_the_standard_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_text_stands_out_from_every_ground() -> None:
    css = (STATIC / "css" / "tokens.css").read_text(encoding="utf-8")
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))
    grounds = ("ground", "panel", "panel-raised", "panel-sunken")
    texts = ("text", "text-soft", "text-faint", "accent", "ok", "warn", "bad")
    pairs = [(text, ground) for text in texts for ground in grounds]
    pairs += [("ink", f"level-{n}") for n in (2, 3, 4)]
    assert {p: round(contrast(tokens[p[0]], tokens[p[1]]), 1) for p in pairs
            if contrast(tokens[p[0]], tokens[p[1]]) < 4.5} == {}  # fmt: skip
    assert contrast("#ffffff", tokens["level-1-ground"]) >= 4.5
    assert contrast("#ffffff", tokens["plate-blue"]) >= 4.5


def test_every_color_that_a_badge_can_have_is_styled() -> None:
    css = (STATIC / "css" / "base.css").read_text(encoding="utf-8")
    for color in ("blue", "yellow", "green", "yellow_green", "white", "black"):
        assert f".plate.{color} " in css
