"""A short cut of killing at random; `make soak` kills hundreds of times."""

import random

import kills
from fuzz_data import small_images


def test_a_training_killed_at_random_ends_with_the_same_files(tmp_path):
    small_images().save(tmp_path / "data.safetensors")
    command = kills.training(tmp_path / "data.safetensors", 12)
    whole, hurt = tmp_path / "whole", tmp_path / "hurt"
    for folder in (whole, hurt):
        folder.mkdir()
    seconds = kills.complete(command, whole)
    kills.stop_until_done(command, hurt, seconds, 3, random.Random(1))
    assert kills.contents(whole) == kills.contents(hurt)
