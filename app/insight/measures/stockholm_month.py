"""Stockholm's measure: how many different persons a client meets in a month [S3].

"ett genomsnitt av antal hemtjänstpersonal som en person med hemtjänstinsatser får hjälp av under en månad".
"""

from __future__ import annotations

from app.insight.measure import Measure

MEASURE = Measure(
    name="stockholm_month",
    version="1",
    definition_sv=(
        "Genomsnitt av antalet olika personer i hemtjänstpersonalen som en brukare möter under en kalendermånad. "
        "Räknas i möten: besök som överlappar varandra hos samma brukare är ett möte. Personer räknas, "
        "inte anställningar."
    ),
    definition_en=(
        "Mean number of different home care staff a client meets in a calendar month. Counted in meetings: overlapping "
        "visits of one client are one meeting. Persons are counted, not employments."
    ),
    population_sv=(
        "Alla brukare med minst ett möte i månaden, oavsett ålder, klockslag och antal besök. Bara omsorgspersonal; "
        "omsorgsbesök och nattpatrull. Måltider, larm, digitala besök och telefon räknas inte."
    ),
    population_en=(
        "Every client with at least one meeting in the month, whatever age, hour or number of visits. Only carers; "
        "care and night patrol. Meals, alarms, digital and phone contacts do not count."
    ),
)
