"""English sounds in Hangul, by the rules for loanwords (외래어 표기법, chapter 3, section 1).

eSpeak's English is American and weakens vowels that the Korean form takes from the spelling (lemon 레몬, shopping
쇼핑), so each sound is laid beside its letter first.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from nbkit.data import espeak

_VOWELS = {  # as Hangul vowels; `_vowels` decides those that depend on the spelling
    **dict.fromkeys(("iː", "i", "ɪ", "ᵻ"), "ㅣ"),
    **dict.fromkeys(("ɛ", "e"), "ㅔ"),
    **dict.fromkeys(("ʌ", "ɜː", "ə", "ɐ", "ɚ"), "ㅓ"),
    **dict.fromkeys(("ʊ", "u", "uː"), "ㅜ"),
    **dict.fromkeys(("ɔ", "ɔː", "oʊ", "o", "ɔːɹ"), "ㅗ"),
    **dict.fromkeys(("ɑː", "ɑ", "a", "ɑːɹ"), "ㅏ"),
    **{"æ": "ㅐ", "eɪ": "ㅔㅣ", "aɪ": "ㅏㅣ", "ɔɪ": "ㅗㅣ", "aʊ": "ㅏㅜ", "iə": "ㅣㅓ"},
    **{"aɪə": "ㅏㅣㅓ", "aɪɚ": "ㅏㅣㅓ", "ɛɹ": "ㅔㅓ", "ɪɹ": "ㅣㅓ", "ʊɹ": "ㅜㅓ", "n̩": "ㅡ"},
}
_CONSONANTS: dict[str, str] = dict(
    zip(
        str.split("p b t d k ɡ f v θ ð s z ʃ ʒ tʃ dʒ ts dz h m n ŋ l ɹ"),
        "ㅍㅂㅌㄷㅋㄱㅍㅂㅅㄷㅅㅈㅅㅈㅊㅈㅊㅈㅎㅁㄴㅇㄹㄹ",
    )
)
_SOUND = re.compile("|".join(sorted({*_VOWELS, *_CONSONANTS, "ɾ", "ʔ", "ɫ", "j", "w"}, key=len, reverse=True)))
_LETTERS = {  # that may stand for a consonant; any of aeiouyw for a vowel
    **{"k": "kcqxg", "s": "szcx", "z": "zsx", "t": "td", "d": "dt", "ɾ": "td", "ʔ": "t", "dʒ": "jgd", "tʃ": "ct"},
    **{"ʃ": "sct", "ʒ": "szgj", "f": "fpg", "v": "vf", "ɡ": "gx", "ŋ": "n", "θ": "t", "ð": "t", "ɹ": "rw"},
    **{"n": "nkgp", "j": "yiuej", "w": "wuoq", "h": "hwj"},
}
_SHORT = {"ɪ", "ᵻ", "ɛ", "æ", "ʌ", "ʊ", "ə", "ɐ", "ɔ", "ɑ", "ɑː"}
_WITH_J = dict(zip("ㅏㅐㅓㅔㅗㅜㅣㅡ", "ㅑㅒㅕㅖㅛㅠㅣㅠ"))
_WITH_W = dict(zip("ㅏㅐㅓㅔㅗㅜㅣㅡ", "ㅘㅙㅝㅞㅝㅜㅟㅜ"))
_ONSETS, _MEDIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_CODAS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")


@dataclass
class _Sound:
    """A sound, and the word cut in front of the letter that stands for it; `after` is empty where none does."""

    label: str
    before: str = ""
    after: str = ""

    @property
    def is_vowel(self) -> bool:
        return self.label in _VOWELS


def by_sound(word: str) -> str | None:
    """A word as it is said in English, in Hangul syllables; None where eSpeak says nothing."""
    try:
        labels = espeak.phones(word.lower(), "en")
    except espeak.EspeakError:
        return None
    spoken = " ".join(label for label in labels if label not in espeak.PAUSES)
    sounds = [_Sound(label) for label in _SOUND.findall(re.sub("[ˈˌ]", "", spoken))]
    _lay_beside(sounds, re.sub("[^a-z]", "", word.lower()))
    return _written(_settled(sounds)) or None


# --- sounds beside letters


def _lay_beside(sounds: list[_Sound], word: str) -> None:
    """Tell each sound its letter: the cheapest way to go through both in order."""
    skipped = [0.3 if letter in "aeiouyhgw" else 0.5 for letter in word]  # a letter without a sound
    costs = [[0.0] * (len(word) + 1) for _ in range(len(sounds) + 1)]
    for i, j in itertools.product(range(len(sounds), -1, -1), range(len(word), -1, -1)):
        ways = []
        if i < len(sounds):
            ways.append(1 + costs[i + 1][j])
        if j < len(word):
            ways.append(skipped[j] + costs[i][j + 1])
        if i < len(sounds) and j < len(word):
            ways.append(_mismatch(sounds[i].label, word[j]) + costs[i + 1][j + 1])
        costs[i][j] = min(ways, default=0.0)
    i = j = 0
    while i < len(sounds):
        if j < len(word) and costs[i][j] == _mismatch(sounds[i].label, word[j]) + costs[i + 1][j + 1]:
            sounds[i].before, sounds[i].after = word[:j], word[j:]
            i, j = i + 1, j + 1
        elif costs[i][j] == 1 + costs[i + 1][j]:
            sounds[i].before = word[:j]
            i += 1
        else:
            j += 1


def _mismatch(label: str, letter: str) -> float:
    if label in _VOWELS:
        return 0 if letter in "aeiouy" else 3
    return 0 if letter in _LETTERS.get(label, label) else 3


def _settled(sounds: list[_Sound]) -> list[_Sound]:
    """American flaps and glottal stops as they are spelled; r after a vowel only before a vowel; ts and dz as one."""
    found: list[_Sound] = []
    for sound, following in itertools.zip_longest(sounds, sounds[1:]):
        label, vowel_follows = sound.label, following is not None and following.is_vowel
        if label in ("ɾ", "ʔ"):
            label = "d" if sound.after.startswith("d") else "t"
        if label in ("s", "z") and found and not vowel_follows and found[-1].label == {"s": "t", "z": "d"}[label]:
            found[-1].label += label
            continue
        if label.endswith("ɹ") and len(label) > 1 and vowel_follows:
            found.append(_Sound(label[:-1], sound.before, sound.after))
            label = "ɹ"
        if label == "w" and sound.after.startswith("wh") and not sound.before:  # white 화이트
            found.append(_Sound("h"))
        found.append(_Sound("l" if label == "ɫ" else label, sound.before, sound.after))
        if label == "n̩":
            found.append(_Sound("n"))
    return found


# --- vowels


def _vowels(sound: _Sound, previous: _Sound | None) -> str:
    """Hangul vowels of a vowel, one for each syllable."""
    label, before, after = sound.label, sound.before, sound.after
    if label in ("ɑː", "ɑ") and (after.startswith("o") or (previous and previous.label == "w")):  # shop, watch
        return "ㅗ"
    if label in ("uː", "u") and previous and previous.label in ("t", "d", "n", "s") and re.match("u|ew|eu", after):
        return "ㅠ"
    if label == "ɔːɹ" and re.fullmatch("oors?|ores?", after):  # door, score
        return "ㅗㅓ"
    if label in ("ɪ", "ᵻ") and re.fullmatch("ets?", after):
        return "ㅔ"
    if label in ("ə", "ɐ"):
        return _weak(before, after)
    return _VOWELS[label]


def _weak(before: str, after: str) -> str:
    """ə and ɐ: what they are depends on the letter and on what stands around it."""
    if not after or re.fullmatch("(?:en|il|le)s?", after):  # apple, rhythm, golden, pencil
        return "ㅡ"
    if re.match("i[aeou]", after) or before.endswith(("i", "e")):  # action, media
        return "ㅓ"
    if re.fullmatch("els?", after) and before.endswith(("b", "d", "v")):  # level; but channel 채널
        return "ㅔ"
    if re.fullmatch("on[se]?", after):
        return "ㅡ" if before.endswith(("s", "z", "t", "d")) else "ㅗ" if before.endswith(("m", "l", "b")) else "ㅓ"
    if after == "a" or (before and re.match("a[nr][aeiou]", after)):  # pizza, banana
        return "ㅏ"
    if after[0] == "a":
        return "ㅓ"
    if after[0] == "i" or re.fullmatch("ess|ain", after):
        return "ㅣ"
    if re.match("em", after):
        return "ㅔ"
    return "ㅓ"


# --- syllables


def _written(sounds: list[_Sound]) -> str:
    """Hangul syllables of sounds."""
    blocks: list[list[str]] = []  # onset, vowel, coda
    onset = glide = ""
    for i, sound in enumerate(sounds):
        previous = sounds[i - 1] if i else None
        following = sounds[i + 1] if i + 1 < len(sounds) else None
        if sound.is_vowel:
            first, *others = _vowels(sound, previous)
            if glide == "j" and first in _WITH_J:
                first = _WITH_J[first]
            elif glide == "w" and first in _WITH_W:
                first = _WITH_W[first]
            if not (onset or glide) and previous and previous.label == "aʊ" and first == "ㅓ":
                blocks.pop()  # power 파워
                first = "ㅝ"
            blocks.append([onset or "ㅇ", first, ""])
            blocks += [["ㅇ", other, ""] for other in others]
            onset = glide = ""
        elif sound.label in ("j", "w"):
            glide = sound.label
            if following is None or not following.is_vowel:
                glide = ""
        else:
            onset, glide = _consonant(blocks, sound, previous, following)
    return "".join(
        chr(0xAC00 + (_ONSETS.index(one) * 21 + _MEDIALS.index(two)) * 28 + _CODAS.index(three))
        for one, two, three in blocks
    )


def _consonant(
    blocks: list[list[str]], sound: _Sound, previous: _Sound | None, following: _Sound | None
) -> tuple[str, str]:
    """Close a syllable, make one with ㅡ or ㅣ, or return the onset and the glide of the next one."""
    label = sound.label
    letter = _CONSONANTS[label]
    next_label = following.label if following else ""
    open_before = bool(blocks) and not blocks[-1][2]
    if following and (following.is_vowel or next_label == "j" or (next_label == "w" and label in ("k", "ɡ", "h"))):
        if label == "ŋ" and open_before:
            blocks[-1][2] = "ㅇ"
            return "", ""
        if label == "l" and open_before:
            blocks[-1][2] = "ㄹ"
        return letter, "j" if label == "ʃ" else ""
    if label in ("m", "n", "ŋ", "l"):
        if open_before:
            blocks[-1][2] = letter
        else:
            blocks.append(["ㄹ" if previous and previous.label == "l" else "ㅇ", "ㅡ", letter])
    elif (
        label in ("p", "t", "k")
        and open_before
        and previous
        and previous.label in _SHORT
        and next_label not in ("l", "ɹ", "m", "n", "w")
    ):
        blocks[-1][2] = {"p": "ㅂ", "t": "ㅅ", "k": "ㄱ"}[label]
    elif label == "ʃ":
        blocks.append(["ㅅ", "ㅠ" if following else "ㅣ", ""])
    elif label in ("ʒ", "tʃ", "dʒ"):
        blocks.append([letter, "ㅣ", ""])
    elif label not in ("h", "ɹ"):
        blocks.append([letter, "ㅡ", ""])
    elif label == "ɹ" and previous and not previous.is_vowel:
        blocks.append(["ㄹ", "ㅡ", ""])
    return "", ""
