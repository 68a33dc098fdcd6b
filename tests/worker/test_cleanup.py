"""What a worker leaves behind is removed, and nothing else."""

from __future__ import annotations

from pathlib import Path

from grader.worker.sandbox.cleanup import remove_tree


def test_a_link_in_the_place_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    """Without Landlock a worker can move its directory away and leave a link to somebody else's."""
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    (other / "kept").touch()
    scratch = tmp_path / "scratch"
    scratch.symlink_to(other, target_is_directory=True)
    remove_tree(scratch)
    assert (other / "kept").exists()
    assert other.stat().st_mode & 0o777 == 0o755
    assert not scratch.is_symlink()


def test_links_in_a_directory_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    scratch = tmp_path / "scratch"
    (scratch / "folder").mkdir(parents=True)
    (scratch / "folder" / "up").symlink_to(tmp_path, target_is_directory=True)
    (scratch / "kept").symlink_to(tmp_path / "kept")
    (scratch / "folder").chmod(0)
    remove_tree(scratch)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
