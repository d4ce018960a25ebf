"""The words and commands of written mathematics, and what each means to the lexer."""

from __future__ import annotations


def words(text: str) -> list[str]:
    return text.split()


GREEK = frozenset(
    words(
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi omicron rho "
        "varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi "
        "Psi Omega ell hbar"
    )
)
CODES = ("USD", "US", "EUR", "GBP", "RMB", "CNY", "Rs", "HK", "AUD", "CAD")  # of currencies
VARIANTS = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi"}
DOTLESS = {"imath": "i", "jmath": "j"}
CONJUNCTIONS = {"或": "or", "或者": "or", "和": "and", "与": "and", "及": "and", "以及": "and", "または": "or", "と": "and",
                "или": "or", "et": "and", "und": "and", "ou": "or", "oder": "or", "и": "and", "또는": "or"}  # fmt: skip
# Functions of one argument; the value is the canonical name.
FUNCTIONS = {
    name: name
    for name in words(
        "sin cos tan cot sec csc sinh cosh tanh coth exp ln log lg arcsin arccos arctan arccot arcsec arccsc arsinh "
        "arcosh artanh gcd lcm min max sgn sqrt cbrt abs floor ceil factorial binom Gamma Re Im arg det deg"
    )
} | {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "acot": "arccot",
    "cosec": "csc",
    "cotan": "cot",
    "tg": "tan",
    "ctg": "cot",
    "arctg": "arctan",
    "arcsinh": "arsinh",
    "arccosh": "arcosh",
    "arctanh": "artanh",
    "asinh": "arsinh",
    "acosh": "arcosh",
    "atanh": "artanh",
    "sign": "sgn",
    "ceiling": "ceil",
    "choose": "binom",
    "binomial": "binom",
    "comb": "binom",
}
# Functions that are written against a short argument: sinx, lnn.
AGAINST = frozenset(FUNCTIONS) - {"deg", "min", "max", "arg", "sec", "tg", "lg", "det", "abs", "Gamma", "Re", "Im"}
CONSTANTS = {"pi": "pi", "infty": "inf", "infinity": "inf", "inf": "inf", "oo": "inf", "Pi": "pi"}

OPERATORS = {  # LaTeX command -> token
    **dict.fromkeys(("cdot", "times", "ast", "bullet", "star"), "*"),
    **dict.fromkeys(("div", "slash"), "/"),
    **dict.fromkeys(("le", "leq", "leqslant", "leqq"), "<="),
    **dict.fromkeys(("ge", "geq", "geqslant", "geqq"), ">="),
    **dict.fromkeys(("ne", "neq"), "!="),
    **dict.fromkeys(("approx", "sim", "simeq", "cong", "approxeq", "thickapprox", "doteq"), "~"),
    **dict.fromkeys(("cup", "bigcup", "cupdot", "sqcup", "uplus"), "union"),
    **dict.fromkeys(("cap", "bigcap"), "intersection"),
    **dict.fromkeys(("setminus", "backslash", "smallsetminus"), "difference"),
    **dict.fromkeys(("ldots", "dots", "cdots", "dotsc", "dotsb", "dotsm", "vdots", "textellipsis"), "..."),
    **dict.fromkeys(("mid", "vert", "lvert", "rvert"), "|"),
    **dict.fromkeys(("Vert", "lVert", "rVert", "|"), "||"),
    **dict.fromkeys(("lbrace", "{"), "\\{"),
    **dict.fromkeys(("rbrace", "}"), "\\}"),
    **dict.fromkeys(("land", "wedge"), "and"),
    **dict.fromkeys(("lor", "vee"), "or"),
    **dict.fromkeys(("to", "rightarrow", "longrightarrow"), "->"),
    **dict.fromkeys(("mapsto", "longmapsto"), "mapsto"),
    **dict.fromkeys(("circ", "degree", "textdegree"), "deg"),
    "top": "top",
    "intercal": "top",
    "lt": "<",
    "gt": ">",
    "less": "<",
    "equiv": "equiv",
    "in": "in",
    "notin": "notin",
    "pm": "pm",
    "mp": "mp",
    "colon": ":",
    "langle": "<(",
    "rangle": ")>",
    "lfloor": "floor(",
    "rfloor": ")floor",
    "lceil": "ceil(",
    "rceil": ")ceil",
    "lbrack": "[",
    "rbrack": "]",
    "lparen": "(",
    "rparen": ")",
    "%": "%",
    "&": "&",
    "#": "#",
    "_": "_",
    "over": "over",
    "choose": "choose",
    "cr": "row",
    "newline": "row",
    "\\": "row",
}
CURRENCY = {
    "₽": "ruble", "₩": "won", "cent": "cent", "cents": "cent", "textcent": "cent", "¢": "cent",
    "$": "dollar", "€": "euro", "£": "pound sterling", "¥": "yen", "₹": "rupee", "textdollar": "dollar",
    "euro": "euro", "texteuro": "euro", "pounds": "pound sterling", "textsterling": "pound sterling", "yen": "yen",
}  # fmt: skip
STYLE = frozenset(  # commands that change the look only; their argument stays
    words(
        "left right middle big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm displaystyle textstyle "
        "scriptstyle limits nolimits mathbf boldsymbol bm bold vec overrightarrow hat widehat mathit mathcal mathsf "
        "mathnormal mathscr boxed fbox framebox angle measuredangle underline rm bf it mathop mathbin ensuremath quad "
        "qquad thinspace enspace space "
        "hline hfill toprule bottomrule strut large Large normalsize small nonumber notag allowbreak hfill triangle limits"
    )
)
TEXTS = frozenset(
    words(
        "text textbf textit textrm textsf texttt textnormal mbox hbox mathrm textup emph operatorname textsc "
        "intertext mathtt si unit SIUnit"
    )
)
DROPPED = frozenset(
    ["phantom", "hphantom", "vphantom", "label", "tag", "hspace", "vspace", "color", "textcolor", "mspace"]
)  # argument dropped too
FRACTIONS = frozenset(["frac", "dfrac", "tfrac", "cfrac"])
BINOMIALS = frozenset(["binom", "dbinom", "tbinom"])
BIG = {"sum": "sum", "prod": "prod", "int": "int", "lim": "lim", "iint": "iint", "oint": "oint"}
SETS = {
    "R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C",
    "emptyset": "empty", "varnothing": "empty", "O": "empty", "reals": "R",
}  # fmt: skip
MATRICES = frozenset(
    [
        "pmatrix",
        "bmatrix",
        "Bmatrix",
        "matrix",
        "smallmatrix",
        "array",
        "vmatrix",
        "Vmatrix",
        "psmallmatrix",
        "bsmallmatrix",
    ]
)

NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        words(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen twenty"
        )
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

# Short words of English that are never products of variables: articles, prepositions, auxiliaries, answers.
SHORT_WORDS = frozenset(
    words(
        "or and to is of no not the yes odd for all any if at by per its nor but are has was were who how why let DNE dne "
        "am pm AM PM th st nd rd pct sq cu in it our can may let get put use set see try say few out off own due via yet "
        "be do go he me my so up us we an as mod True but than then each has"
    )
)

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n", strict=True))
UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ",
    "∙": "\\cdot ", "•": "\\cdot ", "÷": "\\div ", "⁄": "/", "∕": "/", "≤": "\\le ", "≥": "\\ge ", "⩽": "\\le ",
    "⩾": "\\ge ", "≦": "\\le ", "≧": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "≃": "\\approx ", "≅": "\\approx ",
    "≡": "\\equiv ", "±": "\\pm ", "∓": "\\mp ", "∞": "\\infty ", "√": " sqrt ", "∛": " cbrt ", "π": "\\pi ",
    "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∉": "\\notin ", "∅": "\\emptyset ", "⌀": "\\emptyset ",
    "ℝ": "\\R ", "ℤ": "\\Z ", "ℕ": "\\N ", "ℚ": "\\Q ", "ℂ": "\\C ", "∖": "\\setminus ", "°": "\\circ ",
    "º": "\\circ ", "℃": "^{\\circ}\\mathrm{C}", "℉": "^{\\circ}\\mathrm{F}", "\u00c5": "\\AA ", "\u212b": "\\AA ", "″": "''",
    "∀": "\\forall ", "↦": "\\mapsto ", "⊤": "\\top ", "⇒": "\\Rightarrow ", "∴": "\\therefore ",
    "˚": "\\circ ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "…": "\\ldots ",
    "⋯": "\\ldots ", "→": "\\to ", "⟨": "\\langle ", "⟩": "\\rangle ", "〈": "\\langle ", "〉": "\\rangle ",
    "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ", "∣": "|",
    "∠": "\\angle ", "△": "\\triangle ", "∑": "\\sum ", "∏": "\\prod ",
    "∫": "\\int ", "∧": "\\land ", "∨": "\\lor ", "∶": ":", "：": ":", "，": ", ", "；": "; ", "。": ". ", "、": ", ",
    "（": "(", "）": ")", "［": "[", "］": "]", "｛": "\\{", "｝": "\\}", "％": "\\%", "＝": "=", "＋": "+", "－": "-",
    "＜": "<", "＞": ">", "／": "/", "＊": "*", "｜": "|", "ℯ": "e", "ⅇ": "e", "ⅈ": "i", "½": "\\frac12 ",
    "⅓": "\\frac13 ", "⅔": "\\frac23 ", "¼": "\\frac14 ", "¾": "\\frac34 ", "⅕": "\\frac15 ", "⅖": "\\frac25 ",
    "⅗": "\\frac35 ", "⅘": "\\frac45 ", "⅙": "\\frac16 ", "⅚": "\\frac56 ", "⅛": "\\frac18 ", "⅜": "\\frac38 ",
    "⅝": "\\frac58 ", "⅞": "\\frac78 ", "⅐": "\\frac17 ", "⅑": "\\frac19 ", "⅒": "\\frac1{10} ", "\u00a0": " ",
    "\u2009": "\\,", "\u202f": "\\,", "\u2002": " ", "\u2003": " ", "\u2005": " ", "\u2006": " ", "\u2008": " ",
    "\u200b": "", "\u200a": " ", "\u2061": " ", "\u2062": " ", "\u2060": "", "\ufeff": "", "\u3000": " ",
    "α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ", "δ": "\\delta ", "ε": "\\epsilon ", "ϵ": "\\epsilon ",
    "ζ": "\\zeta ", "η": "\\eta ", "θ": "\\theta ", "ϑ": "\\theta ", "κ": "\\kappa ", "λ": "\\lambda ", "μ": "\\mu ",
    "µ": "\\mu ", "ν": "\\nu ", "ξ": "\\xi ", "ρ": "\\rho ", "σ": "\\sigma ", "τ": "\\tau ", "φ": "\\phi ",
    "ϕ": "\\phi ", "χ": "\\chi ", "ψ": "\\psi ", "ω": "\\omega ", "Γ": "\\Gamma ", "Δ": "\\Delta ",
    "Θ": "\\Theta ", "Λ": "\\Lambda ", "Σ": "\\Sigma ", "Φ": "\\Phi ", "Ψ": "\\Psi ", "Ω": "\\Omega ",
}  # fmt: skip
UNICODE |= {chr(0xFF10 + d): str(d) for d in range(10)}
UNICODE |= {chr(base + k): chr(ascii_ + k) for base, ascii_ in ((0xFF21, 65), (0xFF41, 97)) for k in range(26)}
TRANSLATION = str.maketrans(UNICODE)
