"""The encoder against transformers (eager attention), and without padding against itself with padding."""

from typing import NamedTuple

import pytest
import torch
from torch.nn import functional

from nbkit.models import kobert
from nbkit.models.dropout import Dropout, draw
from nbkit.models.kobert import KoBERT, KoBERTConfig, attention, sized

transformers = pytest.importorskip("transformers")
LENGTHS = [5, 3, 3, 1, 12, 3]  # unsorted, with neighbours of equal length
TOLERANCE = 1e-5


class Batch(NamedTuple):
    tokens: torch.Tensor
    types: torch.Tensor
    boundaries: torch.Tensor


def config(**changes):
    return KoBERTConfig(**(dict(vocabulary=60, hidden=32, layers=3, heads=4, filter=48, positions=16) | changes))


def model_of(c: KoBERTConfig) -> KoBERT:
    torch.manual_seed(0)
    model = KoBERT(c).eval()
    for p in model.parameters():  # from N(0, 0.02) everything would be too even to tell anything
        p.data += 0.3 * torch.randn(p.shape)
    return model


def theirs_of(model: KoBERT):
    c = model.config
    their_config = transformers.BertConfig(
        vocab_size=c.vocabulary, hidden_size=c.hidden, num_hidden_layers=c.layers, num_attention_heads=c.heads,
        intermediate_size=c.filter, max_position_embeddings=c.positions, pad_token_id=1, attn_implementation="eager",
    )  # fmt: skip
    theirs = transformers.BertForPreTraining(their_config).eval()
    theirs.load_state_dict(model.state_dict(), strict=True)
    return theirs


def batch_of(lengths, vocabulary=60):
    total = sum(lengths)
    generator = torch.Generator().manual_seed(total)
    tokens = torch.randint(0, vocabulary, (total,), generator=generator)
    types = torch.randint(0, 2, (total,), generator=generator)
    return Batch(tokens, types, torch.tensor([0, *lengths]).cumsum(0))


def padded_of(batch: Batch):
    """tokens, types [B, T], lengths [B], inside [B, T]"""
    lengths = batch.boundaries.diff()
    rows = [
        torch.nn.utils.rnn.pad_sequence(list(x.split(lengths.tolist())), batch_first=True, padding_value=1)
        for x in (batch.tokens, batch.types)
    ]
    inside = torch.arange(rows[0].shape[1]) < lengths[:, None]
    return rows[0], rows[1] * inside, lengths, inside


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def close(ours, theirs, tolerance=TOLERANCE):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


def test_names_and_sizes_are_those_of_kobert():
    model = KoBERT(sized("base", 8002))
    assert sum(p.numel() for p in model.bert.parameters()) == 92_186_880
    assert sum(p.numel() for p in model.parameters()) == 92_788_548
    c = model.config
    with torch.device("meta"):
        theirs = transformers.BertForPreTraining(transformers.BertConfig(vocab_size=8002, pad_token_id=1))
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert {k for k, _ in model.named_parameters()} == {k for k, _ in theirs.named_parameters()}
    assert (c.layers, c.heads, c.filter, c.positions) == (12, 12, 3072, 512)
    for name, p in model.named_parameters():
        if name.endswith("dense.weight") or "embeddings.weight" in name:
            assert p.std().item() == pytest.approx(0.02, rel=0.05), name
        elif name.endswith("bias"):
            assert not p.any(), name


def test_equal_to_transformers():
    model = model_of(config())
    theirs, batch = theirs_of(model), batch_of(LENGTHS)
    tokens, types, lengths, inside = padded_of(batch)
    masked = torch.tensor([1, 4, 9, 13, 20])
    targets, follows = batch.tokens[masked] // 2, torch.tensor([0, 1, 0, 1, 1, 0])
    labels = torch.full_like(tokens, -100)
    labels[inside] = torch.full_like(batch.tokens, -100).scatter(0, masked, targets)
    wanted = theirs(
        tokens, attention_mask=inside.long(), token_type_ids=types, labels=labels, next_sentence_label=follows,
        output_hidden_states=True, output_attentions=True,
    )  # fmt: skip
    places = torch.arange(inside.numel()).view(inside.shape)[inside]  # of the row's tokens in the padded batch
    unpadded = model(batch, masked, attentions=True, hidden_states=True)
    padded = model.padded(tokens, types, lengths, places[masked], attentions=True, hidden_states=True)
    their_gradients = gradients(theirs, wanted.loss)
    for out, of_row in ((unpadded, True), (padded, False)):
        assert len(out.hidden_states) == model.config.layers + 1
        for ours, state in zip(out.hidden_states, wanted.hidden_states):
            close(ours if of_row else ours[inside], state[inside])
        close(out.pooled, theirs.bert(tokens, inside.long(), types).pooler_output)
        close(out.masked_logits, wanted.prediction_logits[inside][masked])
        close(out.next_sentence_logits, wanted.seq_relationship_logits)
        for ours, seen in zip(out.attentions, wanted.attentions):
            for b, length in enumerate(LENGTHS):
                close(ours[b][:, :length, :length], seen[b, :, :length, :length])
        loss = functional.cross_entropy(out.masked_logits, targets)
        loss = loss + functional.cross_entropy(out.next_sentence_logits, follows)
        close(loss, wanted.loss)
        ours = gradients(model, loss)
        assert ours.keys() == their_gradients.keys()
        for name, gradient in ours.items():
            close(gradient, their_gradients[name])
    for ours, seen in zip(padded.attentions, wanted.attentions):
        close(ours, seen)


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [16], [2, 16, 2], [7, 7, 7, 3, 7], list(range(1, 17))])
def test_unpadded_equals_padded(lengths):
    model, batch = model_of(config(layers=2)), batch_of(lengths)
    tokens, types, counts, inside = padded_of(batch)
    ours, wanted = model(batch), model.padded(tokens, types, counts)
    close(ours.hidden, wanted.hidden[inside])
    close(ours.pooled, wanted.pooled)
    assert ours.masked_logits is None
    assert ours.attentions is None
    assert ours.hidden_states is None
    weights = torch.randn(ours.hidden.shape, generator=torch.Generator().manual_seed(1))
    first = gradients(model, (ours.hidden * weights).sum() / len(weights) + ours.pooled.mean())
    second = gradients(model, (wanted.hidden[inside] * weights).sum() / len(weights) + wanted.pooled.mean())
    assert first.keys() == second.keys()
    for name, gradient in first.items():
        close(gradient, second[name], TOLERANCE * max(1.0, second[name].abs().max().item()))


def test_no_sequence_sees_another():
    model, batch = model_of(config()), batch_of(LENGTHS)
    other = batch.tokens.clone()
    other[5:8] = (other[5:8] + 1) % 60
    with torch.no_grad():
        ours, changed = model(batch).hidden, model(batch._replace(tokens=other)).hidden
    same = (ours == changed).all(1)
    assert same[:5].all()
    assert same[8:].all()
    assert not same[5:8].any()


def test_no_graph_is_kept_without_gradients():
    model, batch = model_of(config()), batch_of(LENGTHS)
    with torch.no_grad():
        assert not model(batch).hidden.requires_grad
    assert model(batch).hidden.requires_grad


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_gradient_of_grouped_attention_is_right(dropout):
    boundaries = torch.tensor([0, 3, 6, 7, 11])
    qkv = torch.randn(11, 3, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    attend = attention.Groups(boundaries, heads=2)

    def same_draw(x):
        torch.manual_seed(3)
        return attend(x, dropout)

    assert torch.autograd.gradcheck(same_draw, qkv)


@pytest.mark.parametrize("way", ["_spread", "_masked"])
def test_other_ways_to_attend_agree(way):
    batch = batch_of(LENGTHS)
    places = attention.places(batch.boundaries, len(batch.tokens))
    qkv = torch.randn(len(batch.tokens), 3, 4, 8, generator=torch.Generator().manual_seed(0))
    close(getattr(attention, way)(places)(qkv, 0.0), attention.Groups(batch.boundaries, 4)(qkv, 0.0))


@pytest.mark.gpu
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_gpu_agrees(dropout):
    """Without dropout of weights through FlashAttention where the GPU has it, with it side by side."""
    model, batch = model_of(config(hidden=64, layers=2, dropout=0.0, attention_dropout=dropout)), batch_of(LENGTHS)
    wanted = model(batch).hidden
    model.cuda()
    there = Batch(*(x.cuda() for x in batch))
    close(model(there).hidden.cpu(), wanted, 1e-4)
    with torch.autocast("cuda", torch.float16):
        close(model(there).hidden.float().cpu(), wanted, 0.05 * wanted.abs().max().item())
        model.train()(there).hidden.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.bert.encoder.parameters())


def test_places():
    found = attention.places(torch.tensor([0, 2, 3, 6]), 6)
    assert found.sequence.tolist() == [0, 0, 1, 2, 2, 2]
    assert found.position.tolist() == [0, 1, 0, 0, 1, 2]


def test_dropout_falls_on_attention_and_hidden_states():
    batch = batch_of([9, 9, 4])
    for changes in (dict(dropout=0.2, attention_dropout=0.0), dict(dropout=0.0, attention_dropout=0.2)):
        model = model_of(config(**changes))
        with torch.no_grad():
            still = model(batch).hidden
            assert torch.equal(still, model(batch).hidden)
            torch.manual_seed(5)
            first = model.train()(batch).hidden
            assert not torch.equal(first, model(batch).hidden)
            torch.manual_seed(5)
            assert torch.equal(first, model(batch).hidden), "the same seed gives the same draw"


def test_dropped_weights_are_made_up_for():
    torch.manual_seed(0)
    dropped, factor = draw((100, 1000), 0.1)
    assert dropped.float().mean().item() == pytest.approx(0.1, abs=0.005)
    assert factor == pytest.approx(1 / 0.9, rel=1e-4)
    x = torch.ones(100_000)
    assert Dropout(0.1)(x).mean().item() == pytest.approx(1, abs=0.01)
    attend = attention.Groups(torch.tensor([0, 40]), heads=2)
    qkv = torch.zeros(40, 3, 2, 4)
    qkv[:, 2] = 1  # so without dropout every token gathers 1
    close(attend(qkv, 0.0), torch.ones(40, 2, 4))
    gathered = torch.stack([attend(qkv, 0.5)[..., 0] for _ in range(100)])
    assert gathered.mean().item() == pytest.approx(1, abs=0.02)
    assert gathered.std().item() == pytest.approx(40**-0.5, rel=0.1)


def test_bf16_stays_near():
    model, batch = model_of(config()), batch_of(LENGTHS)
    with torch.no_grad():
        wanted = model(batch, torch.tensor([0, 3]))
        with torch.autocast("cpu", torch.bfloat16):
            out = model(batch, torch.tensor([0, 3]))
    assert out.masked_logits.dtype == torch.bfloat16
    assert (out.hidden.float() - wanted.hidden).abs().max() < 0.1 * wanted.hidden.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(batch).hidden.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.bert.encoder.parameters())


def test_parameters_that_feed_nothing_are_frozen():
    batch = batch_of(LENGTHS)
    for asked in (
        dict(next_sentence=False),
        dict(next_sentence=True),
        dict(next_sentence=False, masked=False, pooled=True),
    ):
        model = model_of(config())
        model.freeze_unused(**asked)
        out = model(batch, torch.tensor([1, 2]))
        loss = out.masked_logits.sum() if asked.get("masked", True) else out.pooled.sum()
        loss = loss + out.next_sentence_logits.sum() if asked["next_sentence"] else loss
        learnt = set(gradients(model, loss))
        assert learnt == {name for name, p in model.named_parameters() if p.requires_grad}, asked


def test_wrong_lengths_and_configurations_are_told():
    model = model_of(config())
    with pytest.raises(ValueError, match="wanted sequences of 1 to 16 tokens, got lengths of 2 to 17"):
        model(batch_of([2, 17]))
    with pytest.raises(ValueError, match="lengths of 0 to 2"):
        model(batch_of([2, 0]))
    with pytest.raises(ValueError, match="hidden must divide into heads"):
        config(heads=5)
    with pytest.raises(ValueError, match="sizes of 1 or more, got layers 0"):
        config(layers=0)
    with pytest.raises(ValueError, match="a dropout of 0 or more"):
        config(dropout=1.0)
    with pytest.raises(ValueError, match="size must be one of tiny, small, base"):
        sized("huge", 8002)


def test_sizes_can_be_changed(monkeypatch):
    monkeypatch.setitem(kobert.SIZES, "tiny", dict(hidden=32, layers=1, heads=2, filter=64))
    assert sized("tiny", 100, positions=20).shape == (100, 32, 1, 2, 64, 20, 2)


def test_operations_of_a_token():
    c = sized("base", 8002)
    assert kobert.flop_per_token(c, 0) == 6 * 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert kobert.flop_per_token(c, 0.15) - kobert.flop_per_token(c, 0) == pytest.approx(0.9 * 768 * (768 + 8002))


def test_the_output_layer_is_the_embedding():
    model = model_of(config())
    state = model.state_dict()
    other = KoBERT(config())
    other.load_state_dict(state)
    assert other.cls.predictions.bias.equal(model.cls.predictions.bias)
    assert len({value.data_ptr() for value in state.values()}) == len(state), "safetensors takes no two names for one"
    state["cls.predictions.decoder.weight"] = state["cls.predictions.decoder.weight"] + 1
    with pytest.raises(RuntimeError, match="output layer is its embedding"):
        other.load_state_dict(state)
    del state["cls.predictions.decoder.weight"], state["cls.predictions.decoder.bias"]
    other.load_state_dict(state)


@pytest.mark.slow
def test_one_graph_for_any_lengths():
    """torch.compile sees one graph whatever the lengths."""
    model = model_of(config(layers=1))
    explained = torch._dynamo.explain(model)(batch_of([3, 5]))
    assert explained.graph_break_count == 0, explained.break_reasons
    compiled = torch.compile(model, backend="eager", dynamic=True, fullgraph=True)
    with torch.no_grad():
        for lengths in ([3, 5], [2, 9, 9], [7]):
            batch = batch_of(lengths)
            close(compiled(batch).hidden, model(batch).hidden)
