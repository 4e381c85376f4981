"""Several cameras on one box: they take turns, whatever each of them shows."""

import time
from collections import Counter
from datetime import timedelta

import cv2

from checkpoint_agent.agent import DONE, Agent
from checkpoint_agent.config import AgentConfig
from tests.checkpoint_agent.fakes import NOON, FakeReader, Signs, name_at

CARS = {"busy": ["京A12345", "沪B77777", "粤C88D66"], "calm": ["苏D24680"], "still": ["浙E13579"]}
FRAMES = 24


class TurnReader(FakeReader):
    """Notes whose frame is looked at, and takes long where there is much to see."""

    def detect(self, image):
        found = self._found(image)
        for camera, texts in CARS.items():
            if any(text in texts for text, _ in found):
                self.turns.append(camera)
        time.sleep(0.01 * len(found))
        return super().detect(image)


def write_frames(folder, signs, texts):
    """Cars that go on driving round, so that every frame is worth a look."""
    folder.mkdir()
    for n in range(FRAMES):
        places = [(t, 40 + 180 * i, 40 + (n * 31) % 250, 70) for i, t in enumerate(texts)]
        picture = signs.picture(*places)
        cv2.imwrite(str(folder / name_at(NOON + timedelta(seconds=n / 5))), picture)


def test_no_camera_starves_beside_a_busy_one(tmp_path, roadside):
    signs = Signs([text for texts in CARS.values() for text in texts])
    for camera, texts in CARS.items():
        write_frames(tmp_path / camera, signs, texts)
    (tmp_path / "token").write_text("sesame")
    config = AgentConfig.model_validate(
        {
            "agent_id": "agent-1",
            "data_dir": str(tmp_path / "data"),
            "exit_when_done": True,
            "server": {"url": roadside.url, "token_file": str(tmp_path / "token")},
            "health": {"listen": ""},
            "camera": [{"id": name, "source": str(tmp_path / name)} for name in CARS],
        }
    )
    reader = TurnReader(signs)
    reader.turns = []
    assert Agent(config, reader=reader).run() == DONE
    turns = Counter()
    for camera in reader.turns:
        turns[camera] += 1
        if max(turns.values()) < FRAMES:
            assert max(turns.values()) - min(turns[name] for name in CARS) <= 3, turns
    assert set(turns.values()) == {FRAMES}
