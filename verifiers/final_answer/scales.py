"""Words of arithmetic behind a number: million, dozen, tenths, in English and its neighbours."""

from __future__ import annotations

from fractions import Fraction

_TENS = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
         "score": 20, "gross": 144, "lakh": 10**5, "crore": 10**7, "ten": 10}  # fmt: skip
_ORDINAL_FRACTIONS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "sixteenth": 16, "twentieth": 20, "hundredth": 100,
    "thousandth": 1000, "millionth": 10**6, "billionth": 10**9,
}  # fmt: skip
_FOREIGN = {  # German, French, Spanish, Italian, Portuguese, Russian, Dutch, Polish
    12: "dutzend dutzende douzaine douzaines docena docenas dozzina dozzine dúzia dúzias дюжина дюжины дюжин dozijn tuzin 打",
    100: "hundert cien ciento cento сто honderd sto", 10**9: "milliarde milliarden milliard milliards миллиард миллиардов",
    1000: "tausend tausende mille millier milliers mila тысяча тысячи duizend tysiąc tysięcy",
    10**6: "million millionen millón millones milione milioni milhão milhões миллион миллиона miljoen milion milionów",
}  # fmt: skip
_FOREIGN_PARTS = {
    2: "hälfte hälften demi demis moitié moitiés mitad mitades medio medios metà mezzo mezzi metade metades половина половины",
    3: "drittel tercio tercios terzo terzi terço terços треть трети третей",
    5: "fünftel cinquième cinquièmes quinto quintos quinti",
    4: "viertel cuarto cuartos quarto quartos quarti четверть четверти четвертей",
    10: "zehntel dixième dixièmes décimo décimos decimo decimi десятых 成 割",
    100: "hundertstel centième centièmes centésimo centésimos сотых",
    1000: "tausendstel millième millièmes milésimo milésimos тысячных",
}  # fmt: skip
_FACTORS: dict[str, Fraction] = {
    **{name: Fraction(value) for name, value in _TENS.items()},
    **{f"{name}s": Fraction(value) for name, value in _TENS.items()},
    **{name: Fraction(1, value) for name, value in _ORDINAL_FRACTIONS.items()},
    **{f"{name}s": Fraction(1, value) for name, value in _ORDINAL_FRACTIONS.items() if name != "half"},
    "halves": Fraction(1, 2), "k": Fraction(1000), "mil": Fraction(10**6), "mln": Fraction(10**6), "mn": Fraction(10**6),
    "bn": Fraction(10**9), "tn": Fraction(10**12), "doubled": Fraction(2), "tripled": Fraction(3),
    "halved": Fraction(1, 2), "十": Fraction(10), "百": Fraction(100), "千": Fraction(1000), "万": Fraction(10**4),
    "萬": Fraction(10**4), "亿": Fraction(10**8), "億": Fraction(10**8), "만": Fraction(10**4), "억": Fraction(10**8),
    "тысяч": Fraction(1000), "тыс": Fraction(1000), "млн": Fraction(10**6), "миллионов": Fraction(10**6),
    "млрд": Fraction(10**9),
    **{name: Fraction(value) for value, names in _FOREIGN.items() for name in names.split()},
    **{name: Fraction(1, value) for value, names in _FOREIGN_PARTS.items() for name in names.split()},
}  # fmt: skip
# Those of English, for patterns.
WORDS = (
    *_TENS,
    *(f"{name}s" for name in _TENS),
    *_ORDINAL_FRACTIONS,
    *(f"{name}s" for name in _ORDINAL_FRACTIONS),
    "halves",
)


def factor(word: str) -> Fraction | None:
    """What a word behind a number multiplies it with: million, dozen, tenths."""
    return _FACTORS.get(word) or (_FACTORS.get(word.lower()) if len(word) > 1 else None)
