"""Label lists of the published classifiers, for writing checkpoints; models read their own label file."""

VOXLINGUA107 = tuple(
    "".join(
        [
            "ab: Abkhazian|af: Afrikaans|am: Amharic|ar: Arabic|as: Assamese|az: Azerbaijani|",
            "ba: Bashkir|be: Belarusian|bg: Bulgarian|bn: Bengali|bo: Tibetan|br: Breton|bs: Bosnian|",
            "ca: Catalan|ceb: Cebuano|cs: Czech|cy: Welsh|da: Danish|de: German|el: Greek|",
            "en: English|eo: Esperanto|es: Spanish|et: Estonian|eu: Basque|fa: Persian|fi: Finnish|",
            "fo: Faroese|fr: French|gl: Galician|gn: Guarani|gu: Gujarati|gv: Manx|ha: Hausa|",
            "haw: Hawaiian|hi: Hindi|hr: Croatian|ht: Haitian|hu: Hungarian|hy: Armenian|",
            "ia: Interlingua|id: Indonesian|is: Icelandic|it: Italian|iw: Hebrew|ja: Japanese|",
            "jw: Javanese|ka: Georgian|kk: Kazakh|km: Central Khmer|kn: Kannada|ko: Korean|la: Latin|",
            "lb: Luxembourgish|ln: Lingala|lo: Lao|lt: Lithuanian|lv: Latvian|mg: Malagasy|mi: Maori|",
            "mk: Macedonian|ml: Malayalam|mn: Mongolian|mr: Marathi|ms: Malay|mt: Maltese|",
            "my: Burmese|ne: Nepali|nl: Dutch|nn: Norwegian Nynorsk|no: Norwegian|oc: Occitan|",
            "pa: Panjabi|pl: Polish|ps: Pushto|pt: Portuguese|ro: Romanian|ru: Russian|sa: Sanskrit|",
            "sco: Scots|sd: Sindhi|si: Sinhala|sk: Slovak|sl: Slovenian|sn: Shona|so: Somali|",
            "sq: Albanian|sr: Serbian|su: Sundanese|sv: Swedish|sw: Swahili|ta: Tamil|te: Telugu|",
            "tg: Tajik|th: Thai|tk: Turkmen|tl: Tagalog|tr: Turkish|tt: Tatar|uk: Ukrainian|ur: Urdu|",
            "uz: Uzbek|vi: Vietnamese|war: Waray|yi: Yiddish|yo: Yoruba|zh: Chinese",
        ]
    ).split("|")
)
"""Labels of speechbrain/lang-id-voxlingua107-ecapa by index: ``code: Name``."""

COMMON_ACCENT_ECAPA = [
    "england",
    "us",
    "canada",
    "australia",
    "indian",
    "scotland",
    "ireland",
    "african",
    "malaysia",
    "newzealand",
    "southatlandtic",
    "bermuda",
    "philippines",
    "hongkong",
    "wales",
    "singapore",
]
"""Labels of Jzuluaga/accent-id-commonaccent_ecapa by index (the misspelling is theirs)."""

COMMON_ACCENT_XLSR = [
    "us",
    "england",
    "australia",
    "indian",
    "canada",
    "bermuda",
    "scotland",
    "african",
    "ireland",
    "newzealand",
    "wales",
    "malaysia",
    "philippines",
    "singapore",
    "hongkong",
    "southatlandtic",
]
"""Labels of Jzuluaga/accent-id-commonaccent_xlsr-en-english by index, in a different order."""
