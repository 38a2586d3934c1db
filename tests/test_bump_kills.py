"""A bump that is killed, at any moment: the old release or the new one is there, and the next run mends the rest."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.releases import content, make_release, topic


def test_killed_before_anything_that_it_does_a_bump_leaves_one_of_two_releases_whole(tmp_path: Path) -> None:
    release = make_release(tmp_path / "made", [content(1), content(2)], [topic(1)], version="1.0.0")
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "tests.bump_kills", str(release), str(tmp_path / "work")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["neither"], found["not mended"]) == ([], [])
    assert len(found["old"]) > 20
    assert len(found["new"]) > 1
