"""What the model writes of its own accord is drawn from its own distribution."""

from mlxterp_engine.corpora.own_texts import own_texts
from mlxterp_engine.tracing.sampled_texts import (
    GROUP,
    draw_key,
    opening,
    sampled_texts,
    until_end,
    write,
)

import mlx.core as mx


def run(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_each_token_is_drawn_from_what_one_whole_pass_predicts_there(tiny):
    """The same draws from logits without a cache: the same tokens."""
    start, _ = opening(tiny.tokens)
    size = tiny.tokens.vocab_size
    ids = mx.array(run(write(tiny.net, start, size, seed=5, group=2, longest=12)))
    logits = tiny.net(mx.concatenate([mx.full((GROUP, 1), start), ids[:, :-1]], axis=1))
    for step in range(12):
        drawn = mx.random.categorical(logits[:, step, :size], key=draw_key(5, 2, step))
        assert drawn.tolist() == ids[:, step].tolist()


def test_other_seeds_and_groups_write_other_texts(tiny):
    start, _ = opening(tiny.tokens)
    written = {
        str(run(write(tiny.net, start, 100, seed=seed, group=group, longest=6)))
        for seed, group in [(0, 0), (0, 1), (1, 0), (1, 1)]
    }
    assert len(written) == 4


def test_a_text_ends_before_its_end_token():
    assert until_end([5, 6, 2, 7, 2], (2, 3)) == [5, 6]
    assert until_end([5, 6], (2,)) == [5, 6]


def test_the_models_texts_are_written_kept_and_described(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MLXTERP_HOME", str(tmp_path))
    wanted = sampled_texts(tiny.net, tiny.tokens, tiny.card.sha256, seed=0)
    first = run(own_texts(wanted, 1))
    assert 1 <= len(first) <= GROUP
    assert run(own_texts(wanted, 1)) == first
    assert "drawn at temperature 1 after" in wanted.description
