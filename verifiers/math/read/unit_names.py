"""The names of units of measure: every spelling, in several languages, and the canonical name that it has.

SI units are made of a prefix and a unit by rule; nothing is listed here that is no unit of measure or money.
"""

from __future__ import annotations

import re
from fractions import Fraction

from . import vocabulary as V


def _table(spellings: dict[str, str]) -> dict[str, str]:
    return {spelling: name for name, text in spellings.items() for spelling in text.split()}


# Letters that are a unit where they stand upright behind a value; k is a thousand.
SYMBOLS = frozenset("msghlLNJWVKCTAFHSGMutdBbk")
PREFIXES = {
    "T": ("tera", 12), "G": ("giga", 9),
    "M": ("mega", 6), "k": ("kilo", 3), "h": ("hecto", 2), "da": ("deca", 1), "d": ("deci", -1), "c": ("centi", -2),
    "m": ("milli", -3), "mu": ("micro", -6), "u": ("micro", -6), "n": ("nano", -9), "p": ("pico", -12),
    "f": ("femto", -15),
}  # fmt: skip
_SI = {  # symbol of a unit that takes prefixes -> name
    "m": "metre", "g": "gram", "s": "second", "A": "ampere", "K": "kelvin", "mol": "mole", "cd": "candela",
    "Hz": "hertz", "N": "newton", "Pa": "pascal", "J": "joule", "W": "watt", "C": "coulomb", "V": "volt", "F": "farad",
    "Omega": "ohm", "ohm": "ohm", "S": "siemens", "Wb": "weber", "T": "tesla", "H": "henry", "lm": "lumen", "lx": "lux",
    "Bq": "becquerel", "Gy": "gray", "Sv": "sievert", "L": "litre", "l": "litre", "eV": "electronvolt", "B": "byte",
    "b": "bit", "cal": "calorie", "Wh": "watt-hour", "G": "gauss", "M": "molar", "t": "tonne", "bps": "bit per second",
}  # fmt: skip
_ENGLISH = _table({
    "metre": "meter meters metre metres", "gram": "gram grams gm gms gramme grammes", "litre": "liter liters litre litres",
    "centimetre": "cms", "kilometre": "kms", "kilogram": "kgs kilo kilos", "millilitre": "cc",
    "second": "sec second seconds secs", "minute": "min minute minutes mins", "hour": "h hr hour hours hrs",
    "day": "day days d", "week": "week weeks wk wks", "month": "month months", "year": "year years yr yrs",
    "decade": "decade decades", "century": "century centuries",
    "inch": "in inch inches", "foot": "ft foot feet", "yard": "yd yard yards yds", "mile": "mi mile miles",
    "nautical-mile": "nmi", "tonne": "tonne tonnes", "ton": "ton tons", "pound": "lb lbs pound pounds",
    "ounce": "oz ounce ounces", "stone": "stone stones", "gallon": "gal gallon gallons", "quart": "qt quart quarts",
    "pint": "pt pint pints", "cup": "cup cups", "acre": "acre acres", "hectare": "ha hectare hectares",
    "tablespoon": "tbsp tablespoon tablespoons", "teaspoon": "tsp teaspoon teaspoons",
    "degree": "deg degree degrees degs", "radian": "rad radian radians rads", "steradian": "sr steradian steradians",
    "arcminute": "arcmin arcminute arcminutes", "arcsecond": "arcsec arcsecond arcseconds",
    "celsius": "celsius centigrade", "fahrenheit": "fahrenheit", "angstrom": "angstrom angstroms",
    "unit": "unit units u", "knot": "knot knots", "revolution": "rev revs revolution revolutions",
    "atmosphere": "atm atmosphere atmospheres", "mmHg": "mmHg", "dalton": "Da dalton daltons amu",
    "decibel": "dB decibel decibels", "horsepower": "hp horsepower", "newton": "newton newtons", "joule": "joule joules",
    "watt": "watt watts", "volt": "volt volts", "ampere": "amp amps ampere amperes", "ohm": "ohm ohms",
    "pascal": "pascal pascals", "hertz": "hertz", "mole": "mole moles mols", "kelvin": "kelvin kelvins",
    "calorie": "calorie calories", "coulomb": "coulomb coulombs", "farad": "farad farads", "henry": "henries",
    "tesla": "tesla teslas", "weber": "weber webers", "siemens": "siemens", "lumen": "lumen lumens", "byte": "byte bytes",
    "bit": "bit bits", "gauss": "gauss", "molar": "molar", "electronvolt": "electronvolt electronvolts",
    "becquerel": "becquerel becquerels", "candela": "candela candelas", "lux": "lux", "foot-pound": "ft-lb",
})  # fmt: skip
MONEY = _table({
    "dollar": "dollar dollars usd USD bucks buck", "cent": "cent cents", "euro": "euro euros eur EUR",
    "pound sterling": "gbp GBP sterling", "penny": "penny pence", "yuan": "yuan rmb cny RMB CNY 元 块",
    "yen": "yen jpy JPY 円", "rupee": "rupee rupees inr INR Rs", "ruble": "ruble rubles rouble roubles руб рубля рублей рубль р",
    "won": "won KRW 원", "peso": "peso pesos", "franc": "franc francs CHF",
})  # fmt: skip
_FOREIGN = _table({
    "metre": "米 公尺 メートル 미터 м метр метра метров mètre mètres metro metros",
    "centimetre": "厘米 公分 センチ センチメートル 센티미터 см", "millimetre": "毫米 ミリメートル 밀리미터 мм",
    "decimetre": "分米 дм",
    "kilometre": "千米 公里 キロメートル 킬로미터 км", "gram": "克 グラム 그램 г грамм граммов Gramm gramo gramos",
    "kilogram": "千克 公斤 キログラム 킬로그램 кг Kilogramm kilogramo kilogramos", "tonne": "吨 т тонн тонны",
    "litre": "升 リットル 리터 л литр литров литра litro litros", "millilitre": "毫升 ミリリットル 밀리리터 мл",
    "second": "秒 초 с сек секунд секунды Sekunde Sekunden seconde secondes segundo segundos",
    "minute": "分 分钟 분 мин минут минуты Minuten minuto minutos",
    "hour": "时 小时 時間 시간 ч час часа часов Stunde Stunden heure heures hora horas",
    "day": "天 日 일 день дня дней Tag Tage jour jours día días", "week": "周 星期 주 недель недели Woche Wochen",
    "month": "月 个月 개월 месяц месяца месяцев Monat Monate mois mes meses",
    "year": "年 岁 년 歳 살 лет год года Jahr Jahre an ans année années año años",
    "degree": "度 도 градус градуса градусов Grad degré degrés grado grados", "cent": "分钱 коп копеек", "unit": "单位",
    "mile": "英里", "foot": "英尺", "inch": "英寸", "newton": "牛 牛顿", "joule": "焦 焦耳", "watt": "瓦 瓦特", "volt": "伏 伏特",
})  # fmt: skip
_LONG_PREFIX = re.compile("(" + "|".join(name for name, _ in PREFIXES.values()) + r")-?([a-z]+)")
_NAMES = _ENGLISH | MONEY | _FOREIGN
_LOWER = {spelling.lower(): name for spelling, name in _NAMES.items() if len(spelling) > 1}
COMPOUND = {
    "mph": "mile / hour", "kph": "kilometre / hour", "kmh": "kilometre / hour", "kmph": "kilometre / hour",
    "fps": "foot / second", "rpm": "revolution / minute", "psi": "pound / inch ^2", "bpm": "beat / minute",
}  # fmt: skip
_ASIAN_POWERS = {"平方": 2, "立方": 3, "제곱": 2, "세제곱": 3}


def unit_of(word: str) -> tuple[str, int] | None:
    """(canonical name, power) of the unit that a word names, or None; 平方米 is a metre squared."""
    if word in _NAMES:
        return _NAMES[word], 1
    if word in _SI:
        return _SI[word], 1
    for length in (2, 1):
        head, tail = word[:length], word[length:]
        if head in PREFIXES and tail in _SI and tail not in ("M", "t", "G") and word not in ("am", "pm"):
            return PREFIXES[head][0] + _SI[tail], 1
    lower = word.lower().rstrip(".")
    if lower in _LOWER:
        return _LOWER[lower], 1
    long = _LONG_PREFIX.fullmatch(lower)
    if long and long[2] in _LOWER:
        return long[1] + _LOWER[long[2]], 1
    for prefix, power in _ASIAN_POWERS.items():
        if word.startswith(prefix) and word.removeprefix(prefix) in _NAMES:
            return _NAMES[word.removeprefix(prefix)], power
    return None


# Abbreviations that are a unit behind a value even in italics; other runs of two letters are products of variables.
_PLAIN = frozenset(
    V.words(
        "cm km kg mm dm nm ml mL cl dl mg ms lbs lb ft yd mi oz hr hrs min mins sec secs gal Hz kHz MHz GHz kW MW kJ "
        "kPa Pa Nm mol kcal cal rad deg cc KB MB GB TB kV kN mA mV eV keV MeV GeV hp mph kph kmh kmph fps rpm psi"
    )
)


def is_unit_name(word: str) -> bool:
    """Whether a run of letters behind a value is the name of a unit, and no product of variables."""
    return word in _PLAIN or (len(word) > 2 and word.lower() in _LOWER)


# What one unit is in the base of its dimension, where the factor is exact.
FACTORS: dict[str, tuple[str, Fraction]] = {
    "metre": ("L", Fraction(1)), "inch": ("L", Fraction(254, 10000)), "foot": ("L", Fraction(3048, 10000)),
    "yard": ("L", Fraction(9144, 10000)), "mile": ("L", Fraction(1609344, 1000)), "angstrom": ("L", Fraction(1, 10**10)),
    "second": ("T", Fraction(1)), "minute": ("T", Fraction(60)), "hour": ("T", Fraction(3600)),
    "day": ("T", Fraction(86400)), "week": ("T", Fraction(604800)), "gram": ("M", Fraction(1)),
    "tonne": ("M", Fraction(10**6)), "litre": ("V", Fraction(1)), "dollar": ("$", Fraction(1)),
    "cent": ("$", Fraction(1, 100)), "joule": ("E", Fraction(1)), "watt": ("P", Fraction(1)), "newton": ("F", Fraction(1)),
    "pascal": ("p", Fraction(1)), "volt": ("U", Fraction(1)), "ohm": ("R", Fraction(1)), "ampere": ("I", Fraction(1)),
    "hertz": ("f", Fraction(1)),
}  # fmt: skip
FACTORS |= {
    prefix + name: (FACTORS[name][0], FACTORS[name][1] * Fraction(10) ** power)
    for prefix, power in PREFIXES.values()
    for name in (
        "metre",
        "gram",
        "second",
        "litre",
        "joule",
        "watt",
        "newton",
        "pascal",
        "volt",
        "ohm",
        "ampere",
        "hertz",
    )
}
