"""What several tests of KoBERT read."""

import pytest


@pytest.fixture(scope="session")
def tokenizer():
    """800 pieces, learnt from 300 made sentences."""
    from nbkit.data import texts, tokenizer_training

    return tokenizer_training.train(texts.sentences("ko", 300), 800, at_most=True)
