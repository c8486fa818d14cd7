from mini.data.patterns import procedural


def test_a_seed_is_a_background():
    kinds = {bytes(procedural(seed)[:, ::64, ::64].flatten().tolist()) for seed in range(24)}
    assert len(kinds) == 24
    assert procedural(5).equal(procedural(5)) and procedural(5).shape == (3, 448, 448)


def test_some_are_plain_and_some_are_not():
    spread = [float(procedural(seed).float().std(dim=(1, 2)).max()) for seed in range(40)]
    assert min(spread) < 6 and max(spread) > 30
