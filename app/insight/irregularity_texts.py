"""What each rule about irregularities says in words: explanation in Swedish and English, known false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class RuleText(NamedTuple):
    """Shown beside everything the rule finds."""

    sv: str
    en: str
    false_alarms_sv: str


TEXTS: Mapping[str, RuleText] = {
    "overlap": RuleText(
        "Samma person är på två ställen samtidigt oftare än hos andra utförare.",
        "One person is at two places at once more often than at other providers.",
        "Glömt GICK som rättats för hand; två anställningar med fel tid."),
    "implausible_move": RuleText(
        "Telefonen registrerar på två adresser inom en minut oftare än andra.",
        "The device taps at two addresses within a minute more often than others.",
        "Trapphus utan gemensam adress i registret."),
    "tag_counter": RuleText(
        "Taggens räknare har upprepats eller gått baklänges: läsningen kan vara kopierad.",
        "The tag's counter was repeated or ran backwards: the reading may be a copy.",
        "En telefon som varit utan nät länge skickar i annan ordning."),
    "device_of_many": RuleText(
        "Tre eller fler personer registrerar med samma telefon samma dag, flera dagar.",
        "Three or more persons tap on one phone within a day, on several days.",
        "Delad telefon på kontoret som inte är anmäld som delad."),
    "manual_share": RuleText(
        "Andelen besök som skrivits in eller rättats för hand är över gränsen.",
        "The share of visits stated or corrected by hand is above the limit.",
        "Driftstörning som inte är registrerad; brukare som inte vill ha tagg."),
    "ends_as_planned": RuleText(
        "Besöken börjar och slutar på den planerade minuten långt oftare än slumpen ger.",
        "Visits begin and end at the planned minute far more often than chance gives.",
        "Planering som skrivits efter besöken."),
    "hugs_ceiling": RuleText(
        "Rapporterad tid hamnar strax under 110 % långt oftare än hos andra utförare.",
        "Reported time ends just under 110 % far more often than at other providers.",
        "För låg beställd tid för en grupp brukare."),
    "declined_then_redone": RuleText(
        "Avböjda besök som ersätts följs av oplanerade besök samma dag utan koppling.",
        "Compensated declines are followed by unplanned visits on the same day, not linked.",
        "Brukaren ångrade sig och kopplingen glömdes."),
    "merged_plans": RuleText(
        "Två planerade besök utförs som ett oftare än hos andra utförare.",
        "Two planned visits are carried out as one more often than elsewhere.",
        "Brukaren bad om det; planeringen är inte uppdaterad."),
    "visit_in_absence": RuleText(
        "Besök är registrerade när brukaren var borta.",
        "Visits are registered while the client was away.",
        "Hemkomst som meddelats sent."),
    "ended_employment": RuleText(
        "Registreringar görs med en anställning som har upphört.",
        "Taps are made under an employment that has ended.",
        "Förlängd anställning som inte är registrerad."),
    "tag_of_one": RuleText(
        "Taggen läses bara av en person, fast brukaren besöks av flera: den kan sitta på fel plats.",
        "Only one person reads the tag though others visit the client: it may hang elsewhere.",
        "Extra tagg vid en andra ingång."),
    "corrections_to_plan": RuleText(
        "Rättelser sätts till den planerade tiden på minuten oftare än hos andra utförare.",
        "Corrections set the planned time to the minute more often than at other providers.",
        "En enhet som rättar i efterhand med planen som minnesstöd."),
    "staff_inactive": RuleText(
        "Personal är registrerad hela månaden utan besök och utan arbetad tid.",
        "Staff are registered all month without visits and without worked time.",
        "Föräldraledighet och sjukskrivning som inte är registrerad."),
}  # fmt: skip
