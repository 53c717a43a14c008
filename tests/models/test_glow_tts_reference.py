"""Checkpoints of the authors' implementation: opened as they are, or refused with what does not fit."""

import json
import pickle

import numpy as np
import pytest
import torch

from nbkit.data.text import front_end
from nbkit.models import glow_tts
from nbkit.models.glow_tts import GlowTTS, GlowTTSConfig, reference
from nbkit.tasks import voices

SMALL = dict(hidden=16, filter=24, duration_filter=12, heads=4, encoder_layers=2, window=3, blocks=2, bands=8)
SMALL |= dict(decoder_hidden=12, decoder_layers=3, decoder_kernel=3, kernel=5, split=8, squeeze=4, speaker_channels=0)
CONFIG = {"train": {}, "data": {"cmudict_path": "data/cmu_dictionary"}, "model": {}}


def theirs(vocabulary=148, seed=0, **fields):
    """A model, and its state dict as the authors' code names it."""
    torch.manual_seed(seed)
    model = GlowTTS(GlowTTSConfig(vocabulary=vocabulary, **(SMALL | fields))).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    state = {reference.their_name(ours): tensor for ours, tensor in model.state_dict().items()}
    return model, {name: tensor[None] if "emb_rel" in name else tensor for name, tensor in state.items()}


def written(path, state, **options):
    """A file as their trainer leaves it: the optimiser's rate is a number of numpy."""
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))], lr=1e-3).state_dict()
    optimiser["param_groups"][0]["lr"] = np.float64(1e-3)
    torch.save({"model": state, "iteration": 7, "optimizer": optimiser, "learning_rate": 1.0}, path, **options)
    return path


def same(voice, model):
    assert voice.model.state_dict().keys() == model.state_dict().keys()
    tokens, lengths = torch.arange(1, 15).reshape(2, 7), torch.tensor([7, 5])
    mel, frames = torch.randn(2, 8, 24), torch.tensor([24, 20])
    speakers = torch.tensor([1, 0]) if model.config.speakers > 1 else None
    for ours, wanted in zip(
        voice.model(tokens, lengths, mel, frames, speakers), model(tokens, lengths, mel, frames, speakers)
    ):
        torch.testing.assert_close(ours, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({}, {"_use_new_zipfile_serialization": False}),  # as torch wrote until 1.5
        ({"vocabulary": 149}, {}),
        ({"mean_only": False, "prenet": False}, {}),
        ({"speakers": 3, "speaker_channels": 5}, {}),
        ({"squeeze": 2, "split": 4, "window": 0}, {}),
    ],
)
def test_a_checkpoint_opens_alone_with_what_its_shapes_show(tmp_path, fields, options):
    model, state = theirs(**fields)
    voice = glow_tts.load(written(tmp_path / "pretrained.pth", state, **options))
    assert voice.model.config == model.config
    same(voice, model)
    assert voice.reader.blank == (model.config.vocabulary == 149)
    assert len(voice.reader.symbols) == model.config.vocabulary
    assert voice.speakers == tuple("012"[: model.config.speakers])
    assert (voice.spec.rate, voice.spec.hop, voice.spec.bands, voice.language) == (22050, 256, 8, "en")


def test_it_speaks_and_is_kept_as_one_of_ours(tmp_path):
    _, state = theirs(149)
    voice = voices.open_voice(written(tmp_path / "pretrained_blank.pth", state))
    how = dict(noise_scale=0.0, length_scale=2.0)
    spoken = voice.speak("Hello, world!", **how)
    assert np.abs(spoken.wave).max() > 0
    assert np.isfinite(spoken.wave).all()
    assert spoken.mel.symbols[1::2] == ["@HH", "@AH0", "@L", "@OW1", ",", " ", "@W", "@ER1", "@L", "@D", "!"]
    assert set(spoken.mel.symbols[::2]) == {"<blank>"}
    again = glow_tts.load(voice.save(tmp_path / "ours.safetensors"))
    np.testing.assert_array_equal(again.synthesise("Hello, world!", **how).log_mel, spoken.mel.log_mel)


def test_the_table_is_that_of_the_authors():
    table = front_end("arpabet").symbols
    assert len(table) == 148
    wanted = {"_": 0, "-": 1, "!": 2, "'": 3, " ": 11, "A": 12, "a": 38, "@AA": 64, "@AA0": 65, "@B": 88, "@ZH": 147}
    assert {symbol: table.index(symbol) for symbol in wanted} == wanted


def test_names_go_there_and_back():
    model, _ = theirs(speakers=2, speaker_channels=4, mean_only=False)
    for ours in model.state_dict():
        assert reference.their_name(ours) != ours
        assert reference.name(reference.their_name(ours)) == ours


def test_a_config_beside_it_is_followed(tmp_path):
    model, state = theirs(sigmoid_scale=True, dilation_rate=2, encoder_dropout=0.0, decoder_dropout=0.0)
    data = {"sampling_rate": 16000, "hop_length": 200, "filter_length": 800, "win_length": 800, "mel_fmax": 7600.0}
    arguments = {"sigmoid_scale": True, "dilation_rate": 2, "hidden_channels": 16, "filter_channels": 24}
    given = {"train": {}, "model": arguments, "data": CONFIG["data"] | data | {"mel_fmin": 50.0, "n_mel_channels": 8}}
    (tmp_path / "config.json").write_text(json.dumps(given))
    voice = glow_tts.load(written(tmp_path / "G_100.pth", state))
    assert voice.model.config == model.config
    same(voice, model)
    assert tuple(voice.spec.as_dict().values())[:6] == (16000, 800, 200, 8, 50.0, 7600.0)
    assert voice.reader.read("cat").symbols == ["@K", "@AE1", "@T"]
    given["data"].pop("cmudict_path")  # trained without a dictionary
    (tmp_path / "config.json").write_text(json.dumps(given))
    assert glow_tts.load(tmp_path / "G_100.pth").reader.read("cat").ids.tolist() == [40, 38, 57]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{", "wanted JSON in .*config.json"),
        ('{"model": {}}', "wanted the authors' config with 'model' and 'data'"),
        (
            json.dumps(CONFIG | {"model": {"n_layers_enc": 3}}),
            r"attn_layers\.2\.emb_rel_k: wanted \(1, 7, 4\), it is missing",
        ),
        (json.dumps(CONFIG | {"model": {"block_length": 5}}), "block_length 5; it is not built"),
        (json.dumps(CONFIG | {"data": {"n_mel_channels": 16}}), r"proj_m.bias: wanted \(16,\), got \(8,\)"),
        (json.dumps(CONFIG | {"data": {"add_blank": True}}), "wanted the authors' 148 symbols, or one more"),
        (json.dumps(CONFIG | {"data": {"win_length": 512}}), "win_length as long as filter_length, got 512 and 1024"),
    ],
)
def test_a_config_that_does_not_fit_is_named(tmp_path, given, message):
    (tmp_path / "config.json").write_text(given)
    with pytest.raises(ValueError, match=message):
        glow_tts.load(written(tmp_path / "G_1.pth", theirs()[1]))


def test_names_and_shapes_that_do_not_fit_are_listed_as_the_authors_call_them(tmp_path):
    _, state = theirs()
    state["decoder.flows.3.logs"] = torch.zeros(1, 5, 1)
    state["encoder.something"] = torch.zeros(2)
    del state["encoder.proj_w.norm_2.beta"]
    with pytest.raises(ValueError, match=r"G_1\.pth does not fit") as raised:
        glow_tts.load(written(tmp_path / "G_1.pth", state))
    for said in (
        "decoder.flows.3.logs: wanted (1, 32, 1), got (1, 5, 1)",
        "encoder.proj_w.norm_2.beta: wanted (12,), it is missing",
        "encoder.something: unknown, got (2,)",
    ):
        assert said in str(raised.value)


@pytest.mark.parametrize("lost", ["encoder.emb.weight", "encoder.proj_m.weight", "decoder.flows.2.start.weight_v"])
def test_a_parameter_that_the_size_is_read_from_may_be_missing_too(tmp_path, lost):
    _, state = theirs()
    state[lost] = state[lost][0]
    with pytest.raises(ValueError, match=f"lacks {lost} and holds"):
        glow_tts.load(written(tmp_path / "G_1.pth", state))


def test_symbols_of_others_are_not_guessed(tmp_path):
    with pytest.raises(ValueError, match="was trained with 80; what those are is not in the file"):
        glow_tts.load(written(tmp_path / "G_1.pth", theirs(80)[1]))


def test_another_model_is_named_for_what_it_holds(tmp_path):
    path = tmp_path / "g_02500000.pth"
    torch.save({"generator": {"conv_pre.weight_g": torch.zeros(3)}}, path)
    with pytest.raises(ValueError, match=r"wanted a Glow-TTS of the authors .* holds generator"):
        glow_tts.load(path)
    torch.save({"conv_pre.weight_g": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"lacks encoder\.emb\.weight.*and holds conv_pre\.weight_g"):
        glow_tts.load(path)
    torch.save([torch.zeros(3)], path)
    with pytest.raises(ValueError, match="holds list"):
        glow_tts.load(path)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_named(tmp_path, part, options):
    path = written(tmp_path / "pretrained.pth", theirs()[1], **options)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"pretrained\.pth cannot be read; copy or download it again"):
        glow_tts.load(path)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("save", [torch.save, lambda found, path: path.write_bytes(pickle.dumps(found))])
def test_code_in_a_file_is_not_run(tmp_path, save):
    path, mark = tmp_path / "pretrained.pth", tmp_path / "harm"
    save({"model": theirs()[1], "extra": Harm(mark)}, path)
    with pytest.raises(ValueError, match=r"wanted tensors and numbers, .* holds more \(Unsupported .*\), .* run code"):
        glow_tts.load(path)
    assert not mark.exists()


def test_a_file_without_the_usual_ending_is_known_by_its_first_bytes(tmp_path):
    model, state = theirs()
    for name, new in (("G_7", True), ("G_8.ckpt", False)):
        same(glow_tts.load(written(tmp_path / name, state, _use_new_zipfile_serialization=new)), model)


def test_arguments_left_out_are_those_of_their_constructor():
    needed = dict(n_vocab=9, out_channels=8, hidden_channels=16, filter_channels=24, filter_channels_dp=12)
    made = reference.config(needed)
    assert (made.squeeze, made.dilation_rate, made.window, made.mean_only, made.prenet) == (1, 5, 0, False, False)
    assert (made.encoder_dropout, made.decoder_dropout, made.decoder_hidden, made.speakers) == (0, 0, 16, 1)
    with pytest.raises(ValueError, match="n_vocab are missing"):
        reference.config({name: value for name, value in needed.items() if name != "n_vocab"})
