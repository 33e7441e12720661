"""The languages that Whisper knows, in the forms in which programs, people and servers name them.

`code` turns any form into Whisper's code. Every door of the product uses it, for requests and for the answers of
servers, so that all other code sees codes only.

The table has the codes of ISO 639-1, -2 and -3, the names of CLDR 47 in English, in Chinese and in the language itself,
the aliases of Whisper (openai/whisper, tokenizer.py), and common mistakes such as `jp`. Whisper's list of languages is
closed. Libraries cost more: Babel takes 36 MB on disk, and 98 MB of memory for the names of all languages in
themselves; langcodes with language_data takes 30 MB on disk.
"""

import re
import unicodedata
from dataclasses import dataclass

# Whisper's code and other codes | English names | Chinese names | names in the language itself.
# Pages show the first English and the first Chinese name. Names that equal another one of the row are left out.
# The members of a macrolanguage (ISO 639-3) stand in its row: Whisper calls Egyptian Arabic `ar`.
_TABLE = """
af afr | Afrikaans | 南非荷兰语, 南非荷蘭文, 阿非利卡语 |
am amh | Amharic | 阿姆哈拉语 | አማርኛ
ar ara arb abh abv acm acq acw acx acy adf aeb aec afb ajp apc apd arq ars ary arz auz avl ayh ayl ayn ayp pga shu ssh \
 | Arabic | 阿拉伯语 | العربية, عربي, عربى, اللغة العربية
as asm | Assamese | 阿萨姆语, 阿薩姆文 | অসমীয়া
az aze azj azb | Azerbaijani, Azeri | 阿塞拜疆语, 亞塞拜然文 | azərbaycan, azərbaycan dili, azərbaycanca
ba bak | Bashkir | 巴什基尔语, 巴什喀爾文 | башҡорт, башҡортса, башҡорт теле
be bel | Belarusian, Byelorussian | 白俄罗斯语, 白俄羅斯文 | беларуская, беларуская мова
bg bul | Bulgarian | 保加利亚语, 保加利亞文 | български, български език
bn ben | Bengali, Bangla | 孟加拉语 | বাংলা
bo bod tib | Tibetan | 藏语 | བོད་སྐད་, བོད་ཡིག
br bre | Breton | 布列塔尼语 | brezhoneg
bs bos | Bosnian | 波斯尼亚语, 波士尼亞文 | bosanski, босански
ca cat | Catalan, Valencian | 加泰罗尼亚语, 加泰蘭文, 加泰隆尼亚语 | català, valencià
cs ces cze cz | Czech | 捷克语 | čeština, česky
cy cym wel | Welsh | 威尔士语, 威爾斯文 | Cymraeg
da dan dk | Danish | 丹麦语, 丹麥文 | dansk
de deu ger | German, Swiss High German | 德语, 德国语 | Deutsch
el ell gre gr | Greek, Modern Greek | 希腊语, 希臘文 | Ελληνικά, νέα ελληνικά
en eng | English | 英语, 美式英语, 英式英语, 美国英语, 英国英语 |
es spa | Spanish, Castilian | 西班牙语 | español, castellano
et est ekk vro | Estonian | 爱沙尼亚语, 愛沙尼亞文 | eesti, eesti keel
eu eus baq | Basque | 巴斯克语 | euskara, euskera
fa fas per pes prs | Persian, Farsi, Dari | 波斯语, 达里语 | فارسی, دری
fi fin | Finnish | 芬兰语, 芬蘭文 | suomi, suomen kieli
fo fao | Faroese | 法罗语, 法羅文 | føroyskt
fr fra fre | French | 法语, 法国语 | français, langue française
gl glg | Galician | 加利西亚语, 加利西亞文 | galego
gu guj | Gujarati | 古吉拉特语 | ગુજરાતી
ha hau | Hausa | 豪萨语, 豪薩文 | harshen Hausa
haw | Hawaiian | 夏威夷语 | ʻŌlelo Hawaiʻi
he heb iw | Hebrew | 希伯来语, 希伯來文 | עברית
hi hin | Hindi | 印地语 | हिन्दी, हिंदी
hr hrv scr | Croatian | 克罗地亚语, 克羅埃西亞文 | hrvatski
ht hat | Haitian Creole, Haitian | 海地克里奥尔语, 海地文 | Kreyòl Ayisyen, Kreyòl
hu hun | Hungarian | 匈牙利语 | magyar
hy hye arm | Armenian | 亚美尼亚语, 亞美尼亞文 | հայերեն
id ind in | Indonesian | 印度尼西亚语, 印尼文, 印度尼西亞文 | Indonesia, Bahasa Indonesia
is isl ice | Icelandic | 冰岛语, 冰島文 | íslenska
it ita | Italian | 意大利语, 義大利文 | italiano
ja jpn jp | Japanese | 日语 | 日本語, にほんご
jw jav jv | Javanese | 爪哇语 | Jawa, Basa Jawa
ka kat geo | Georgian | 格鲁吉亚语, 喬治亞文 | ქართული, ქართული ენა
kk kaz | Kazakh | 哈萨克语, 哈薩克文 | қазақ тілі, қазақ, қазақша
km khm | Khmer, Central Khmer, Cambodian | 高棉语, 柬埔寨语 | ខ្មែរ, ភាសាខ្មែរ
kn kan | Kannada | 卡纳达语, 坎那達文 | ಕನ್ನಡ
ko kor kr | Korean | 韩语, 韓文, 朝鲜语, 韩国语 | 한국어, 한국말, 조선말
la lat | Latin | 拉丁语 | Latina, lingua Latina
lb ltz | Luxembourgish, Letzeburgesch | 卢森堡语, 盧森堡文 | Lëtzebuergesch
ln lin | Lingala | 林加拉语 |
lo | Lao, Laotian | 老挝语, 寮文 | ລາວ, ພາສາລາວ
lt lit | Lithuanian | 立陶宛语 | lietuvių, lietuvių kalba, lietuviškai
lv lav lvs ltg | Latvian | 拉脱维亚语, 拉脫維亞文 | latviešu, latviešu valoda
mg mlg plt bhr bmm bzc msh skg tdx tkg txy xmv xmw | Malagasy | 马拉加斯语, 馬達加斯加文 |
mi mri mao | Maori | 毛利语 | te reo Māori, te reo
mk mkd mac | Macedonian | 马其顿语, 馬其頓文 | македонски, македонски јазик
ml mal | Malayalam | 马拉雅拉姆语, 馬來亞拉姆文 | മലയാളം
mn mon khk mvf | Mongolian | 蒙古语 | монгол, монгол хэл
mr mar | Marathi | 马拉地语, 馬拉地文 | मराठी
ms msa may zsm zlm | Malay, Malaysian | 马来语, 馬來文, 马来西亚语 | Melayu, Bahasa Melayu, Bahasa Malaysia
mt mlt | Maltese | 马耳他语, 馬爾他文 | Malti
my mya bur | Burmese, Myanmar | 缅甸语, 緬甸文 | မြန်မာ, မြန်မာဘာသာ, ဗမာ
ne nep npi dty | Nepali | 尼泊尔语, 尼泊爾文 | नेपाली
nl nld dut | Dutch, Flemish | 荷兰语, 荷蘭文, 弗拉芒语 | Nederlands, Vlaams
nn nno | Norwegian Nynorsk, Nynorsk, Nynorsk Norwegian | 新挪威语, 挪威尼诺斯克语 | norsk nynorsk
no nor nob nb | Norwegian, Norwegian Bokmål, Bokmål, Bokmål Norwegian | 挪威语, 书面挪威语, 書面挪威文 \
 | norsk, norsk bokmål
oc oci | Occitan | 奥克语, 奧克西坦文 | lenga d'òc
pa pan | Punjabi, Panjabi | 旁遮普语 | ਪੰਜਾਬੀ, پنجابی
pl pol | Polish | 波兰语, 波蘭文 | polski, język polski
ps pus pbt pbu pst | Pashto, Pushto | 普什图语, 普什圖文 | پښتو
pt por | Portuguese | 葡萄牙语, 巴西葡萄牙语 | português, português brasileiro, português do Brasil
ro ron rum mo mol | Romanian, Moldavian, Moldovan | 罗马尼亚语, 羅馬尼亞文, 摩尔多瓦语, 摩爾多瓦文 \
 | română, limba română, moldovenească
ru rus | Russian | 俄语, 俄罗斯语, 俄羅斯文 | русский, русский язык
sa san | Sanskrit | 梵语 | संस्कृत भाषा, संस्कृतम्, संस्कृत
sd snd | Sindhi | 信德语 | سنڌي
si sin | Sinhala, Sinhalese | 僧伽罗语, 僧伽羅文 | සිංහල
sk slk slo | Slovak | 斯洛伐克语 | slovenčina, slovensky
sl slv | Slovenian, Slovene | 斯洛文尼亚语, 斯洛維尼亞文 | slovenščina
sn sna | Shona | 绍纳语, 紹納文 | chiShona
so som | Somali | 索马里语, 索馬利文 | Soomaali, Soomaaliga, af Soomaali
sq sqi alb als aae aat aln | Albanian | 阿尔巴尼亚语, 阿爾巴尼亞文 | shqip
sr srp scc sh hbs cnr | Serbian, Montenegrin, Serbo-Croatian, Serbian Latin, Serbian Cyrillic | 塞尔维亚语, 塞爾維亞文 \
 | српски, srpski, crnogorski, srpskohrvatski
su sun | Sundanese | 巽他语 | Basa Sunda, Sunda
sv swe | Swedish | 瑞典语 | svenska
sw swa swh swc | Swahili | 斯瓦希里语, 史瓦希里文 | Kiswahili
ta tam | Tamil | 泰米尔语, 坦米爾文 | தமிழ்
te tel | Telugu | 泰卢固语, 泰盧固文 | తెలుగు
tg tgk | Tajik | 塔吉克语 | тоҷикӣ
th tha | Thai | 泰语, 泰国语 | ไทย, ภาษาไทย
tk tuk | Turkmen | 土库曼语, 土庫曼文 | türkmen dili, türkmençe
tl tgl fil | Tagalog, Filipino, Pilipino | 他加禄语, 他加祿文, 菲律宾语, 菲律賓文 | Wikang Filipino
tr tur | Turkish | 土耳其语 | Türkçe
tt tat | Tatar | 鞑靼语, 韃靼文, 塔塔尔语 | татар, татарча, татар теле
uk ukr ua | Ukrainian | 乌克兰语, 烏克蘭文 | українська, українська мова
ur urd | Urdu | 乌尔都语, 烏都文 | اردو
uz uzb uzn uzs | Uzbek | 乌兹别克语, 烏茲別克文 | o‘zbek, o‘zbekcha, o‘zbek tili, ўзбекча
vi vie vn | Vietnamese | 越南语 | Tiếng Việt
yi yid ydd yih ji | Yiddish | 意第绪语, 意第緒文 | ייִדיש
yo yor | Yoruba | 约鲁巴语, 約魯巴文 | Èdè Yorùbá
yue | Cantonese, Yue, Yue Chinese, Chinese (Cantonese), Chinese (Yue) | 粤语, 粵語, 广东话, 廣東話, 白话 |
zh zho chi cmn cn chs cht zhs zht cdo cjy cnp cpx csp czh czo gan hak hnm hsn luh lzh mnp nan sjc wuu \
 | Chinese, Mandarin, Putonghua | 中文, 汉语, 漢語, 普通话, 国语, 國語, 华语, 華語, 中国语, \
 简体中文, 簡體中文, 繁体中文, 繁體中文 |
"""
# Tags of two parts whose second part is the language (IANA's registry: extlang, grandfathered).
_TWO_PARTS = {"zh-yue": "yue", "zho-yue": "yue", "chi-yue": "yue", "no-nyn": "nn"}
# Words of programs and servers for an unknown language; und, mul, zxx and mis are from ISO 639-2.
_NOT_A_LANGUAGE = """auto, autodetect, auto detect, automatic, automatic detection, default, detect, detect language
unknown, undefined, undetermined, unspecified, any, none, null, nil, nospeech, no speech, n a, und, mis, zxx
mul, multi, multilingual, multiple languages, 自动, 自动检测, 自動, 自動檢測, 未知"""
_NOT_KNOWN = frozenset(re.split(", |\n", _NOT_A_LANGUAGE))
_WHISPERS_OWN = {"my": "myanmar", "nn": "nynorsk"}  # for all others it is the first English name
_TAG = re.compile(r"([a-z]{2,3})(?:[-_.@][a-z0-9-]+)*")  # BCP 47 and POSIX: zh-Hant-TW, en_US.UTF-8
_PARTS = re.compile(r"[,;:/()\[\]（），、_-]+")
_DROPPED = re.compile(r"['’‘ʻʼ`´]+")
_LONGEST = 100  # characters; the longest form in the table has 31, and longer texts are not worth the work


@dataclass(frozen=True, slots=True)
class Language:
    """`english` and `chinese`: the names for pages. `whisper`: the name in Whisper's code and in OpenAI's answers."""

    code: str
    english: str
    chinese: str
    whisper: str


def _folded(text: str) -> str:
    """A form without case, accents and punctuation. Chinese names also lose their last character, “language”."""
    decomposed = unicodedata.normalize("NFKD", _DROPPED.sub("", text).casefold())
    letters = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")  # Mn: accents
    words = "".join(c if c.isalnum() or unicodedata.category(c) == "Mc" else " " for c in letters)  # Mc: vowel signs
    return re.sub(r"(?<=[\u3400-\u9fff])[语語文话話]$", "", " ".join(words.split()))


def _read(table: str) -> tuple[dict[str, Language], dict[str, str], dict[str, str]]:
    languages: dict[str, Language] = {}
    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    for row in table.strip().splitlines():
        spoken, english, chinese, own = (column.strip() for column in row.split("|"))
        code = spoken.split()[0]
        first = english.split(", ")[0]
        whisper = _WHISPERS_OWN.get(code, first.lower())
        languages[code] = Language(code, first, chinese.split(", ")[0], whisper)
        codes |= dict.fromkeys(spoken.split(), code)
        names |= dict.fromkeys(map(_folded, ", ".join((english, chinese, own)).split(", ")), code)
    names.pop("", None)
    return languages, codes, names


LANGUAGES, _CODES, _NAMES = _read(_TABLE)


def code(said: str) -> str | None:
    """Whisper's code for a language in any form: `zh` for zh-CN, zh_Hant, chi, cmn, Chinese, Mandarin, 中文.

    "" if the form says that the language is unknown (“auto”, “unknown”, nothing). None if Whisper has no such language.
    """
    text = said.strip().removeprefix("<|").removesuffix("|>").casefold()
    if len(text) > _LONGEST:
        return None
    if not text or _folded(text) in _NOT_KNOWN:
        return ""
    return _tagged(text) or _named(text)


def _tagged(text: str) -> str | None:
    if not (tag := _TAG.fullmatch(text)):
        return None
    two = "-".join(re.split("[-_]", text)[:2])
    return _TWO_PARTS.get(two) or _CODES.get(tag[1])


def _named(text: str) -> str | None:
    """The language of a name; else of the only known part, as in “Portuguese (Brazil)”; else of the last word."""
    if name := _NAMES.get(_folded(text)):
        return name
    parts = [_folded(part) for part in _PARTS.split(text)]
    found = {_NAMES[part] for part in parts if part in _NAMES}
    if not found and len(parts) == 1:  # Brazilian Portuguese
        found = {_NAMES[word] for word in parts[0].split()[-1:] if word in _NAMES}
    if len(found) > 1:
        found.discard("la")  # it is the script, as in “Hindi (Latin)”
    return found.pop() if len(found) == 1 else None
