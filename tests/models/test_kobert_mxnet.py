"""Files that MXNet wrote: one of its own against its recorded outputs, and every version of its format."""

import struct

import numpy as np
import pytest
import torch

from nbkit.models import kobert
from nbkit.models.kobert import KoBERT, KoBERTConfig, mxnet

CODES = {"<f4": 0, "<f8": 1, "<f2": 2, "|u1": 3, "<i4": 4, "|i1": 5, "<i8": 6}
VERSIONS = {1: 0xF993FAC8, 2: 0xF993FAC9, 3: 0xF993FACA}
THEIRS = {
    "bert.embeddings.position_embeddings.weight": "encoder.position_weight",
    "bert.embeddings.LayerNorm.weight": "encoder.layer_norm.gamma",
    "bert.embeddings.LayerNorm.bias": "encoder.layer_norm.beta",
    "bert.embeddings.word_embeddings.weight": "word_embed.0.weight",
    "bert.embeddings.token_type_embeddings.weight": "token_type_embed.0.weight",
    "bert.pooler.dense.weight": "pooler.weight",
    "bert.pooler.dense.bias": "pooler.bias",
}
CELL = {
    "attention.self.query": "attention_cell.proj_query",
    "attention.self.key": "attention_cell.proj_key",
    "attention.self.value": "attention_cell.proj_value",
    "attention.output.dense": "proj",
    "attention.output.LayerNorm": "layer_norm",
    "intermediate.dense": "ffn.ffn_1",
    "output.dense": "ffn.ffn_2",
    "output.LayerNorm": "ffn.layer_norm",
}


def array_bytes(array, version, storage=0):
    shape = array.shape
    if version:
        head = struct.pack("<I", VERSIONS[version]) + (struct.pack("<i", storage) if version > 1 else b"")
        head += struct.pack(f"<i{len(shape)}q", len(shape), *shape)
    else:
        head = struct.pack(f"<I{len(shape)}I", len(shape), *shape)
    return head + struct.pack("<iii", 1, 0, CODES[array.dtype.str]) + array.tobytes()


def file_bytes(arrays, version=2, storage=0):
    content = struct.pack("<QQQ", 0x112, 0, len(arrays))
    content += b"".join(array_bytes(array, version, storage) for array in arrays.values())
    content += struct.pack("<Q", len(arrays))
    return content + b"".join(struct.pack("<Q", len(name.encode())) + name.encode() for name in arrays)


def their_name(ours):
    if ours in THEIRS:
        return THEIRS[ours]
    layer, rest = ours.removeprefix("bert.encoder.layer.").split(".", 1)
    part, kind = rest.rsplit(".", 1)
    kind = {"weight": "gamma", "bias": "beta"}[kind] if part.endswith("LayerNorm") else kind
    return f"encoder.transformer_cells.{layer}.{CELL[part]}.{kind}"


def test_outputs_of_mxnet_come_out_again(golden):
    loaded = kobert.load(golden / "kobert_tiny_mxnet.params", heads=4)
    assert loaded.about["missing"] == loaded.about["unused"] == []
    assert loaded.model.config.shape == (8002, 64, 2, 4, 128, 64, 2)
    recorded = np.load(golden / "kobert_tiny_mxnet_outputs.npz")
    tokens = torch.tensor([[2, 31, 51, 99, 3], [2, 15, 5, 3, 1]])
    types = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    with torch.no_grad():
        out = loaded.model.padded(tokens, types, torch.tensor([5, 4]), torch.tensor([1, 2, 6, 7]))
    pairs = {
        "hidden": (out.hidden.flatten(0, 1)[:9], recorded["seq"].reshape(10, -1)[:9]),
        "pooled": (out.pooled, recorded["pool"]),
        "next_sentence_logits": (out.next_sentence_logits, recorded["nsp"]),
        "masked_logits": (out.masked_logits, recorded["dec"].reshape(4, -1)),
    }
    for name, (ours, theirs) in pairs.items():
        assert np.abs(ours.numpy() - theirs).max() <= 5e-5, name


def test_heads_that_lack_are_drawn(tmp_path):
    model = KoBERT(KoBERTConfig(20, 128, 2, 2, 24, 8))
    theirs = {their_name(name): value for name, value in model.state_dict().items() if name.startswith("bert.")}
    path = tmp_path / "mxnet_kobert.params"
    path.write_bytes(file_bytes({f"arg:{name}": value.numpy() for name, value in theirs.items()}))
    loaded = kobert.load(path)
    assert {name.split(".")[0] for name in loaded.about["missing"]} == {"cls"}
    for name, value in model.bert.state_dict().items():
        assert torch.equal(value, loaded.model.bert.state_dict()[name]), name


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_every_version_and_type(version, tmp_path):
    rng = np.random.default_rng(version)
    arrays = {f"층.{code}": rng.integers(0, 99, (code + 1, 3)).astype(dtype) for dtype, code in CODES.items()}
    arrays["vector"] = np.arange(5, dtype=np.float32)
    path = tmp_path / "a.params"
    path.write_bytes(file_bytes(arrays, version))
    found = mxnet.read(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_scalars_and_arrays_that_never_had_a_shape(tmp_path):
    path = tmp_path / "a.params"
    path.write_bytes(file_bytes({"scalar": np.float32(3)[...]}, version=3))
    assert mxnet.read(path)["scalar"] == 3
    without = struct.pack("<Iii", VERSIONS[2], 0, 0)
    names = struct.pack("<QQ", 1, 4) + b"none"
    path.write_bytes(struct.pack("<QQQ", 0x112, 0, 1) + without + names)
    assert mxnet.read(path) == {}


def test_a_file_cut_anywhere_is_told(tmp_path):
    content = file_bytes({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2, np.int8)})
    path = tmp_path / "cut.params"
    for length in range(8, len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"wanted .* copy it again"):
            kobert.load(path)


def test_a_flipped_byte_is_told_or_changes_a_value(tmp_path):
    """Nothing but ValueError comes out, whatever is read as a number of axes, a length or a name."""
    content = file_bytes({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2, np.int8)})
    path, told = tmp_path / "flipped.params", 0
    for at in range(16, len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            mxnet.read(path)
        except ValueError:
            told += 1
    assert len(content) // 2 < told < len(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (file_bytes({"a": np.zeros(3, np.float32)}) + b"more", "got 4 bytes more"),
        (file_bytes({"a": np.zeros(3, np.float32)}, storage=1), "wanted dense arrays in .*, got storage type 1"),
        (file_bytes({"a": np.zeros(3, np.float32)})[:-17] + struct.pack("<Q", 0), "a name for each of 1 arrays"),
        (file_bytes({"a": np.zeros(3, np.float32)}), "wanted the weights of a BERT, .* holds a"),
    ],
)
def test_odd_files_are_told(content, words, tmp_path):
    path = tmp_path / "odd.params"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        kobert.load(path)


def test_names_that_are_unknown_stay():
    assert mxnet.our_name("encoder.transformer_cells.3.ffn.ffn_2.bias") == "bert.encoder.layer.3.output.dense.bias"
    assert mxnet.our_name("encoder.transformer_cells.3.gate.bias") == "encoder.transformer_cells.3.gate.bias"
    assert mxnet.our_name("lstm.weight") == "lstm.weight"
