"""Published rates that a simulated clinic must reproduce, each with its source; the tests hold the presets to them."""

from __future__ import annotations

from typing import Final, NamedTuple


class Rate(NamedTuple):
    """A range that a simulated rate must lie in, and where it is published."""

    low: float
    high: float
    source: str

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


STOPPED_CLINIC: Final = Rate(
    0.17, 0.23, "Swift & Greenberg 2012, J Consult Clin Psychol 80:547: 19.7 % over 669 studies"
)
STOPPED_COMMUNITY: Final = Rate(
    0.30, 0.38, "Roos & Werbart 2013, Psychother Res 23:394: 35 % on average; community clinics 30-37 %"
)
STOPPED_SHIFTED: Final = Rate(0.22, 0.38, "between the two above and beyond, ours: the shifted world is made to differ")
STOPPED_BY_SESSION_4: Final = Rate(
    0.50,
    0.85,
    "Barrett, Chua, Crits-Christoph et al. 2008, Psychotherapy 45:247: most who leave do so in the first sessions",
)
NO_SHOW: Final = Rate(
    0.09,
    0.17,
    "visits missed without notice: Mitchell & Selmes 2007, Adv Psychiatr Treat 13:423, and later clinic surveys",
)
ALLIANCE_D: Final = Rate(
    0.30,
    0.80,
    "Sharf, Primavera & Diener 2010, Psychotherapy 47:637: d = .55 between those who stayed and who dropped out",
)
CLINICIAN_SD: Final = Rate(
    0.45, 0.69, "logit scale; 5.7 % of variance: Zimmermann, Rubel, Page & Lutz 2017, Clin Psychol Psychother 24:312; "
    "12.6 %: Saxon, Firth & Barkham 2017, Adm Policy Ment Health 44:705",
)  # fmt: skip
PREFERENCE_OR: Final = Rate(
    1.2, 2.4, "Swift, Callahan, Cooper & Parkin 2018, J Clin Psychol 74:1924: odds of dropout 1.79 where not matched"
)
SRS_MEAN: Final = Rate(
    33.0, 37.0, "Duncan, Miller, Sparks et al. 2003, J Brief Ther 3:3: means 34-36 of 40, with a ceiling"
)
EARLY_SHARE: Final = Rate(
    0.30, 0.70, "Lambert 2005, J Clin Psychol 61:855; Howard, Kopta, Krause & Orlinsky 1986, Am Psychol 41:159: much of "
    "the gain comes in the first sessions",
)  # fmt: skip
WITHDRAWAL_SHARE: Final = Rate(
    0.5, 0.9, "Eubanks, Muran & Safran 2018, Psychotherapy 55:508: withdrawal is the more frequent kind of rupture"
)
AUROC_INTAKE: Final = Rate(0.60, 0.66, "the design's honest ceilings: .60-.68 at intake")
AUROC_SESSION_3: Final = Rate(0.70, 0.80, "the design's honest ceilings: .70-.80 with process data")
AUROC_EVER: Final = Rate(0.50, 0.85, "above .85 is a leak")
