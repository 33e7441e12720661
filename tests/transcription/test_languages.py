"""The names that programs, people and servers have for languages, and Whisper's code for each."""

import time

import pytest
from django.conf.locale import LANG_INFO
from faster_whisper.tokenizer import _LANGUAGE_CODES

from transcription.languages import LANGUAGES, code

FORMS = {
    "zh": "zh ZH zh-CN zh_CN zh-TW zh-Hans zh_Hant zh-Hans-CN zh_hant_tw zh-cmn-Hans-CN cmn cmn-Hans-CN chi zho "
    "zho_Hans cn CHS <|zh|> zh_CN.UTF-8 zh-yu Chinese chinese Mandarin 中文 汉语 漢語 普通话 國語 中国語 简体中文 wuu",
    "yue": "yue yue-HK yue-Hant-HK zh-yue zh-yue-HK Cantonese 粤语 粵語 广东话 廣東話",
    "en": "en EN en-US en_US en-GB en_GB.UTF-8 en-001 eng eng-USA eng_Latn English ENGLISH 英语 英文 英語 <|en|>",
    "ja": "ja jp JP jpn ja-JP Japanese 日本語 日语 日文",
    "ko": "ko kr kor ko-KR Korean 한국어 韩语 韓文",
    "de": "de deu ger de-AT de_DE@euro German Deutsch 德语 德文",
    "fr": "fr fra fre fr-CA French Français francais FRANÇAIS 法语",
    "es": "es spa es-419 es_MX spa-ARG Spanish Castilian español Espanol castellano",
    "pt": "pt por pt-BR pt_PT Portuguese português portugues 葡萄牙语 葡萄牙文",
    "no": "no nor nb nob nb-NO no-NO nb_no Norwegian Bokmål bokmal norsk",
    "nn": "nn nno nn-NO no-nyn Nynorsk nynorsk",
    "he": "he heb iw iw-IL Hebrew עברית",
    "id": "id ind in in-ID Indonesian 印尼文",
    "yi": "yi yid ji Yiddish ייִדיש",
    "ro": "ro ron rum mo mol mo-MD Romanian Moldavian Moldovan română",
    "tl": "tl tgl fil fil-PH fil_ph Filipino Tagalog",
    "jw": "jw jv jav jv-ID Javanese",
    "sr": "sr srp sh hbs scc sr-Latn sr_Cyrl_RS Serbian српски srpski",
    "hr": "hr hrv scr Croatian hrvatski",
    "fa": "fa fas per pes prs fa-IR Persian Farsi Dari فارسی",
    "ar": "ar ara arb arz ar-EG ar_001 Arabic العربية",
    "ms": "ms msa may zsm Malay Melayu",
    "my": "my mya bur Burmese Myanmar",
    "bo": "bo bod tib",
    "cs": "cs ces cze cz Czech čeština cestina",
    "nl": "nl nld dut nld-BEL nl-BE Dutch Flemish Nederlands",
    "el": "el ell gre gr el-GR Greek Ελληνικά",
    "uk": "uk ukr ua Ukrainian українська",
    "ht": "ht hat Haitian",
    "haw": "haw haw-US Hawaiian",
    "lb": "lb ltz Letzeburgesch Lëtzebuergesch",
    "si": "si sin Sinhala Sinhalese සිංහල",
    "uz": "uz uzb uzn o‘zbek o'zbek oʻzbek",
    "hi": "hi hin hi-Latn हिन्दी हिंदी",
    "th": "th tha th-TH Thai ไทย ภาษาไทย",
    "": "auto AUTO Auto unknown Unknown und mul detect none null N/A autodetect nospeech 自动",
}
SENTENCES = {  # forms with spaces in them
    "": ["", " ", "Auto detect", "auto-detect"],
    "zh": [
        " zh ",
        "Chinese (Simplified)",
        "Traditional Chinese",
        "Chinese, Mandarin",
        "zh (Chinese)",
        "Mandarin Chinese",
    ],
    "yue": ["Chinese (Cantonese)", "Chinese, Yue", "Yue Chinese"],
    "en": ["English (United States)", "American English", "en - English", "English_US", "英语（美国）"],
    "pt": ["Portuguese (Brazil)", "Brazilian Portuguese"],
    "no": ["Norwegian Bokmål", "norsk bokmål", "Norwegian (Bokmål)"],
    "nn": ["Norwegian Nynorsk", "Norwegian (Nynorsk)", "norsk nynorsk"],
    "es": ["Spanish; Castilian", "Latin American Spanish"],
    "el": ["Greek, Modern (1453-)", "Modern Greek"],
    "id": ["Bahasa Indonesia", "bahasa indonesia"],
    "ht": ["Haitian Creole", "haitian creole", "Haitian; Haitian Creole"],
    "vi": ["Tiếng Việt", "tieng viet"],
    "hi": ["Hindi (Latin)"],
    "sr": ["Serbo-Croatian", "Serbian (Latin)", "Serbian Latin"],
    "ru": ["русский язык"],
}
NONE = [
    "klingon",
    "tlh",
    "xx",
    "zz-ZZ",
    "x-klingon",
    "English/Chinese",
    "en,zh",
    "en zh",
    "no idea",
    "in that language",
]
NONE += ["English2", "German Sign Language", "ga", "Irish", "eo", "1", "-", "…", "语", "zh" * 5000]


@pytest.mark.parametrize("language", sorted(FORMS.keys() | SENTENCES.keys()))
def test_every_form_means_whispers_code(language: str) -> None:
    forms = FORMS.get(language, "").split() + SENTENCES.get(language, [])
    assert {form: code(form) for form in forms} == dict.fromkeys(forms, language)


@pytest.mark.parametrize("form", NONE)
def test_what_names_no_language_of_whispers_is_none(form: str) -> None:
    assert code(form) is None


def test_the_table_has_whispers_languages_and_nothing_else() -> None:
    assert LANGUAGES.keys() == set(_LANGUAGE_CODES)
    for language in LANGUAGES.values():
        forms = (language.code, language.english, language.chinese, language.whisper, language.whisper.title())
        assert [code(form) for form in forms] == [language.code] * 5


def test_every_name_that_django_has_for_one_of_them_is_known() -> None:
    for said, info in LANG_INFO.items():
        if "name" in info and (language := code(said)) and "-" not in said:
            assert {code(info["name"]), code(info["name_local"])} == {language}


def test_a_long_form_costs_no_time() -> None:
    began = time.process_time()
    code("ﷺ" * 1_000_000)
    assert time.process_time() - began < 0.5  # `casefold` of this text takes 0.02 s
