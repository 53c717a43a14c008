"""Speech made by eSpeak: the same samples always, boundaries that are true, words that are in the text."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nbkit.data import audio, espeak, espeak_library, texts
from nbkit.data.espeak import PAUSES, EspeakError, speak

KO = espeak.sentences("ko", 40)
EN = espeak.sentences("en", 20)
CALLS = [(text, "ko", 175, 50) for text in KO[:6]] + [(text, "en", 170, 45) for text in EN[:4]]
CALLS += [
    (KO[0], "ko+2", 130, 60),
    (KO[0], "ko+3", 300, 0),
    (EN[0], "en+4", 80, 99),
    ("AI 시대가 왔다.", "ko", 175, 50),
]


def digest(call: tuple) -> str:
    said = speak(*call)
    return hashlib.sha256(said.wave.tobytes() + repr((said.phones, said.words)).encode()).hexdigest()


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return [digest(call) for call in CALLS]


# --- determinism


def test_the_order_of_calls_changes_nothing(expected: list[str]) -> None:
    order = np.random.default_rng(0).permutation(len(CALLS))
    assert [digest(CALLS[i]) for i in order] == [expected[i] for i in order]
    assert len(set(expected)) == len(expected)


def test_a_fresh_process_says_the_same(expected: list[str]) -> None:
    program = (
        "import json, sys\n"
        "from nbkit.data.espeak import speak\n"
        "import hashlib\n"
        "for call in reversed(json.loads(sys.stdin.read())):\n"
        "    said = speak(*call)\n"
        "    print(hashlib.sha256(said.wave.tobytes() + repr((said.phones, said.words)).encode()).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(CALLS), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == expected[::-1]
    assert not done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 on, by numpy
def test_a_forked_process_says_the_same_and_leaves_the_voices(expected: list[str]) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(digest, CALLS) == expected
    assert digest(CALLS[-1]) == expected[-1]


def test_threads_take_turns(expected: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(digest, CALLS * 2)) == expected * 2


def test_voices_that_were_cleaned_away_are_made_again(expected: list[str]) -> None:
    for process in espeak_library._processes.values():
        if process.engine:
            shutil.rmtree(process.engine.folder)
    assert [digest(call) for call in CALLS] == expected


def test_import_loads_no_library() -> None:
    program = "import sys; import nbkit.data.espeak; print('espeakng_loader' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# --- boundaries


@pytest.fixture(scope="module")
def said() -> list[espeak.Speech]:
    return [speak(text) for text in KO] + [speak(text, "en") for text in EN]


def test_phones_cover_all_samples_without_a_gap(said: list[espeak.Speech]) -> None:
    for speech in said:
        edges = [phone.start for phone in speech.phones] + [speech.phones[-1].end]
        assert edges[0] == 0
        assert edges[-1] == len(speech.wave) / speech.rate
        assert [phone.end for phone in speech.phones] == edges[1:]
        assert min(np.diff(edges)) > 0.01, "at the usual speed no phone is shorter than 10 ms"


def test_pauses_are_silent_and_start_where_the_sound_ends(said: list[espeak.Speech]) -> None:
    late = []
    for speech in said:
        for phone in speech.phones:
            first, last = round(phone.start * speech.rate), round(phone.end * speech.rate)
            if phone.label in PAUSES:
                assert not speech.wave[first:last].any()
                late.append(first - np.flatnonzero(speech.wave[:first])[-1])
            else:
                assert speech.wave[first:last].any(), f"{phone} cannot be heard"
    assert np.median(late) < 0.001 * speech.rate
    assert max(late) < 0.012 * speech.rate


def test_the_hiss_of_s_ends_where_the_vowel_begins(said: list[espeak.Speech]) -> None:
    def crossings(speech: espeak.Speech, start: float) -> float:
        piece = speech.wave[round(start * speech.rate) :][: round(0.01 * speech.rate)]
        return float((np.diff(np.signbit(piece)) != 0).mean())

    hisses = [
        (crossings(speech, left.end - 0.012), crossings(speech, left.end + 0.002))
        for speech in said
        for left, right in zip(speech.phones, speech.phones[1:])
        if left.label in ("s", "s-") and right.label.strip("ˈˌ")[0] in "ɐoʌieɯuɛ"
    ]
    assert len(hisses) > 30
    before, after = np.median(hisses, axis=0)
    assert before > 3 * after, "10 ms of hiss before the boundary, 10 ms of voice after it"


def test_the_closure_belongs_to_its_stop(said: list[espeak.Speech]) -> None:
    silent = []
    for speech in said[: len(KO)]:
        for left, right in zip(speech.phones, speech.phones[1:]):
            if right.label in ("tɕ", "t", "kh", "ph") and left.label not in PAUSES:
                first = round(right.start * speech.rate)
                silent.append(speech.wave[first : first + round(0.03 * speech.rate)].any())
                assert speech.wave[max(0, first - round(0.01 * speech.rate)) : first].any(), f"{left} ends in silence"
    assert len(silent) > 20
    assert not any(silent), "a stop starts with at least 30 ms of silence"


# --- words


def test_each_korean_word_is_found_where_it_stands() -> None:
    for text in (*KO, "나의 것은 네 것, 물 몇 모금!", "너는 무엇을 먹니?"):
        words = speak(text).words
        assert [word.label for word in words] == [word.strip(",.?!") for word in text.split()]
        assert [text[word.char_start : word.char_end] for word in words] == [word.label for word in words]


def test_all_letters_are_in_exactly_one_word_and_words_are_in_order(said: list[espeak.Speech]) -> None:
    for text, speech in zip((*KO, *EN), said):
        places = [range(word.char_start, word.char_end) for word in speech.words]
        for i, character in enumerate(text):
            assert sum(i in place for place in places) == 1 or not character.isalnum()
        starts = {phone.start for phone in speech.phones}
        for left, right in zip(speech.words, speech.words[1:]):
            assert left.start < left.end <= right.start
        assert all(word.start in starts for word in speech.words)


def test_phones_know_their_word_and_pauses_their_mark() -> None:
    text = '그래, "가자"고 했니? 응.'
    speech = speak(text)
    pauses = [
        (phone.label, text[phone.char_start : phone.char_end]) for phone in speech.phones if phone.label in PAUSES
    ]
    assert pauses == [(",", ', "'), ("_:", '"'), ("?", "? "), (".", ".")]
    first = speak('"네." 라고').phones[0]
    assert (first.label, first.char_start, first.char_end) == ("_:", 0, 1)
    for phone in speech.phones:
        if phone.label not in PAUSES:
            place = (phone.char_start, phone.char_end)
            assert place in [(word.char_start, word.char_end) for word in speech.words]


def test_merged_and_split_words_keep_their_characters() -> None:
    assert [word.label for word in speak("It lay in the old box.", "en").words] == ["It", "lay", "in the", "old", "box"]
    assert [word.label for word in speak("너는-나를 (5 개)").words] == ["너는-나를", "5", "개"]
    assert [word.label for word in speak("AI가 3개").words] == ["AI가", "3", "개"]


def test_labels_do_not_depend_on_speaker_or_speed() -> None:
    for text in KO[:5]:
        labels = espeak.phones(text)
        for voice, speed in (("ko+2", 120), ("ko+3", 220), ("ko+4", 300)):
            assert [phone.label for phone in speak(text, voice, speed).phones] == labels


def test_what_espeak_leaves_out_is_not_taken_for_said() -> None:
    for text in (*KO, *EN):
        speak(text, "ko" if text in KO else "en")
    long = " ".join(text.strip(",.?!").replace(",", "") for text in KO)
    with pytest.raises(EspeakError, match=r"leaves out words of .*commas, a full stop"):
        speak(long[:300])
    assert len(speak(" ".join(KO)).words) == sum(len(text.split()) for text in KO)
    with pytest.raises(EspeakError, match="40 characters or fewer"):
        speak(long.replace(" ", "")[:41])
    speak(long.replace(" ", "")[:40])


# --- how it sounds, in numbers


def pitch(speech: espeak.Speech) -> float:
    """Median fundamental frequency in Hz, by autocorrelation of the loud frames."""
    frames = np.lib.stride_tricks.sliding_window_view(speech.wave, 1024)[::512]
    loud = frames[frames.std(axis=1) > 0.5 * frames.std(axis=1).max()]
    power = np.abs(np.fft.rfft(loud, 2048)) ** 2
    lags = np.fft.irfft(power)[:, speech.rate // 400 : speech.rate // 55]
    return float(np.median(speech.rate / (lags.argmax(axis=1) + speech.rate // 400)))


def test_level_and_pitch_of_each_speaker() -> None:
    pitches = {}
    for voice in espeak.VOICES:
        speech = speak(KO[0] if voice.startswith("ko") else EN[0], voice)
        assert 0.2 < np.abs(speech.wave).max() < 0.95
        assert -28 < 20 * np.log10(speech.wave[speech.wave != 0].std()) < -15
        pitches[voice] = pitch(speech)
    for language in ("ko", "en"):
        assert pitches[f"{language}+3"] < pitches[language] < pitches[f"{language}+2"] < pitches[f"{language}+4"]
        assert 80 < pitches[language] < 130
    assert len(speak(KO[0], speed=100).wave) > 1.5 * len(speak(KO[0], speed=200).wave)
    assert pitch(speak(KO[0], pitch=80)) > 1.15 * pitch(speak(KO[0], pitch=20))


def test_what_cannot_be_said_is_refused_with_its_reason() -> None:
    for call, reason in {
        ("안녕", "fr"): "wanted a voice among ko, ko\\+2",
        ("안녕", "ko", 500): "wanted speed as an integer from 80 to 300, got 500",
        ("안녕", "ko", 175, 1.5): "wanted pitch as an integer",
        ("",): "wanted words to say",
        ("... !",): "wanted words to say",
        ("ᄒᆞᆫ저 옵서",): r"'ᆞ' \(U\+119E\)",
        ("좋아 😀",): r"U\+1F600",
        ("漢字",): r"U\+5B57",
        ("정말~ 100%",): r"'%' \(U\+0025\), '~' \(U\+007E\)",
        ("\u1112\u1161",): "composed text",
    }.items():
        with pytest.raises(EspeakError, match=reason):
            speak(*call)
    assert espeak.unreadable("값 ㅋㅋ, it's 5 “é”\n") == []


# --- texts


def test_written_sentences_are_plain_and_cover_the_script() -> None:
    written = texts._written("ko")
    assert len(written) >= 300
    assert len(set(written)) == len(written)
    assert len(texts._written("en")) >= 150
    seen: tuple[set[int], ...] = (set(), set(), set())
    for text in written:
        assert 10 <= len(text) <= 45
        assert all("가" <= c <= "힣" or c in " ,.?!" for c in text), text
        assert text[-1] in ".?!"
        for c in text:
            if "가" <= c <= "힣":
                code = ord(c) - ord("가")
                for found, part in zip(seen, (code // 588, code % 588 // 28, code % 28)):
                    found.add(part)
    assert [len(found) for found in seen] == [19, 21, 28], "all onsets, vowels and codas, none among them"


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_sentences_never_repeat_and_do_not_depend_on_count(language: str) -> None:
    many = espeak.sentences(language, 20000)
    assert len(set(many)) == 20000
    assert espeak.sentences(language, 700) == many[:700]
    assert espeak.sentences(language, 3) == many[:3]
    other = espeak.sentences(language, 700, seed=1)
    assert other != many[:700]
    assert len(set(other)) == 700
    assert not [text for text in many if "(" in text or "<" in text or "  " in text or "|" in text]
    with pytest.raises(ValueError, match="wanted 0 to"):
        espeak.sentences(language, 10**7)


def test_a_pattern_gives_each_combination_once() -> None:
    pattern = texts._Pattern((("가", "나", "다", "라"), ("이 ",), ("온다", "간다", "선다"), (".", "!")))
    assert pattern.size == 24
    assert len({pattern.compose(turn, seed=3) for turn in range(24)}) == 24


def test_particles_fit_the_syllable_before_them() -> None:
    for rough, right in {
        "귤(을/를)": "귤을",
        "배(을/를)": "배를",
        "서울(으로/로)": "서울로",
        "부산(으로/로)": "부산으로",
        "제주(으로/로)": "제주로",
        "개(과/와) 꿩(이/가)": "개와 꿩이",
    }.items():
        assert texts.fit_particles(rough) == right


# --- a corpus on the disk


def test_a_corpus_holds_what_speak_says(tmp_path: Path) -> None:
    rows = espeak.write_corpus(tmp_path, "ko", 4, speakers=2)
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()] == rows
    assert [row["text"] for row in rows] == espeak.sentences("ko", 4)
    assert [row["speaker"] for row in rows] == ["ko", "ko+2"] * 2
    for row in rows:
        wave = audio.load(tmp_path / row["audio"], 22050)
        assert row["seconds"] == pytest.approx(len(wave) / 22050, abs=1e-6)
        assert row["phones"][0][1] == 0
        assert row["phones"][-1][2] == row["seconds"]
        assert [label for label, *_ in row["phones"]] == espeak.phones(row["text"])
        assert [row["text"][a:b] for a, b, *_ in row["words"]] == [word.strip(",.?!") for word in row["text"].split()]
    rates = [len(row["phones"]) / row["seconds"] for row in rows]
    assert len({round(rate, 3) for rate in rates}) == 4


def test_items_do_not_depend_on_count_and_only_what_is_missing_is_made(tmp_path: Path) -> None:
    first = espeak.write_corpus(tmp_path, "ko", 3)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "wavs").iterdir()}
    gone = tmp_path / first[1]["audio"]
    before = gone.read_bytes()
    gone.unlink()
    more = espeak.write_corpus(tmp_path, "ko", 5)
    assert more[:3] == first
    assert gone.read_bytes() == before
    assert all(path.stat().st_mtime_ns == time for path, time in made.items() if path != gone)
    assert espeak.write_corpus(tmp_path, "ko", 2) == first[:2]
    assert len((tmp_path / "rows.jsonl").read_text("utf-8").splitlines()) == 5, "a longer corpus stays"
    assert espeak.write_corpus(tmp_path / "other", "ko", 2) == first[:2]


def test_an_interrupted_corpus_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def interrupt(done: int, count: int) -> None:
        assert count == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        espeak.write_corpus(tmp_path, "en", 4, progress=interrupt)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "wavs").iterdir()}
    assert len(stamps) == 2
    assert len((tmp_path / "rows.jsonl").read_text("utf-8").splitlines()) == 2
    assert len(espeak.write_corpus(tmp_path, "en", 4)) == 4
    assert all(path.stat().st_mtime_ns == time for path, time in stamps.items())


def test_another_corpus_in_the_same_folder_is_not_mixed_in(tmp_path: Path) -> None:
    espeak.write_corpus(tmp_path, "ko", 3, seed=1)
    rows = espeak.write_corpus(tmp_path, "ko", 2)
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()] == rows
    with pytest.raises(EspeakError, match="wanted 1 to 2 speakers from 'ko\\+3' on, got 3"):
        espeak.write_corpus(tmp_path, "ko+3", 1, speakers=3)
