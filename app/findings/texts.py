"""What a finding says to a person, in Swedish and English, from its facts. No names: doors decide who sees those."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from app.core.localtime import local_text, parse_instant
from app.facts import Finding

Language = Literal["sv", "en"]

_TEXTS: Mapping[str, tuple[str, str]] = {
    "kom_without_gick": ("KOM {kom_at} utan GICK.{proposed_sv}", "KOM {kom_at} without GICK.{proposed_en}"),
    "gick_without_kom": ("GICK {at} utan KOM.{left_sv}", "GICK {at} without KOM.{left_en}"),
    "wrong_client_gick": (
        "GICK {at} hos en annan {client} än den där besöket pågick.",
        "GICK {at} at another client than the one where the visit was going on.",
    ),
    "repeated_tap": (
        "Samma tryck igen efter {seconds} s: räknas som ett.",
        "The same tap again after {seconds} s: counted as one.",
    ),
    "too_short": (
        "Besöket varade {duration}: kortare än väntat.{proposed_sv}",
        "The visit lasted {duration}: shorter than expected.{proposed_en}",
    ),
    "too_long": (
        "Besöket varade {duration}: längre än väntat. Glömdes ett GICK?",
        "The visit lasted {duration}: longer than expected. Was a GICK forgotten?",
    ),
    "acts_reversed": (
        "GICK {at} följt av KOM {kom_at}: troligen omkastade.{proposed_sv}",
        "GICK {at} followed by KOM {kom_at}: probably reversed.{proposed_en}",
    ),
    "unordered_second_staff": (
        "{staff} medarbetare samtidigt, beställt högst {most}.",
        "{staff} staff at once, at most {most} ordered.",
    ),
    "unknown_tag": (
        "Taggen {tag_uid} hörde inte till någon {client} då.",
        "The tag {tag_uid} belonged to no client at that time.",
    ),
    "unknown_staff": (
        "Ingen gällande anställning för {staff_id} då.",
        "No valid employment for {staff_id} at that time.",
    ),
    "no_order": (
        "Ingen beställning hos utföraren den dagen: ersätts bara med orsak.",
        "No order with the provider that day: paid only with a reason.",
    ),
    "overlap": (
        "Samma person är registrerad på två besök samtidigt.",
        "The same person is registered on two visits at once.",
    ),
    "implausible_move": (
        "Tryck på två platser inom så kort tid att ingen hinner emellan.",
        "Taps at two places within a time too short to get from one to the other.",
    ),
    "grant_expired": ("Tryck med utgången passbehörighet.", "Tap under an expired shift grant."),
    "foreign_device": ("Enheten tillhör en annan utförare.", "The device belongs to another provider."),
    "revoked_device": (
        "Trycket kom in efter att enheten spärrats.",
        "The tap arrived after the device had been revoked.",
    ),
    "unconfirmed": (
        "Andelen efterregistrerade besök är för hög ({in_share} av {visits}): en andra person måste bekräfta.",
        "The share of visits by hand is too high ({in_share} of {visits}): a second person must confirm.",
    ),
    "correction_without_effect": (
        "Rättelsen {correction_ids} fick ingen verkan: {why_sv}.",
        "The correction {correction_ids} had no effect: {why_en}.",
    ),
    "visit_in_absence": (
        "Besöket ligger i en period då {the_client} är anmäld borta.",
        "The visit lies in a period when the client is reported away.",
    ),
    "client_disputes": (
        "{The_client} eller en närstående säger att något den dagen är fel.",
        "The client or a relative says that something that day is wrong.",
    ),
    "grade_d": (
        "Tidpunkten är inte styrkt (grad D): en person måste avgöra.",
        "The time is not proved (grade D): a person must decide.",
    ),
    "tag_level": (
        "Taggen når inte den nivå som krävs av utföraren.",
        "The tag is below the level required of the provider.",
    ),
    "visit_missed": (
        "Planerat besök {at} utan registrering.",
        "Planned visit {at} without any registration.",
    ),
    "order_changed_after_close": (
        "Beställningen för {month} ändrades efter månadsavslutet.",
        "The order for {month} was changed after the close.",
    ),
    "order_misfit": (
        "Utförd tid avviker från beställd tid flera månader i rad.",
        "Executed time has differed from ordered time for several months in a row.",
    ),
    "price_missing": (
        "Prislistan saknar pris för {what} i {month}: det står med 0 kronor tills priset finns.",
        "The price list has no price for {what} in {month}: it stands at 0 until there is one.",
    ),
    "excess_without_reason": (
        "Tid över taket i {month} saknar orsak.",
        "Time above the ceiling in {month} has no reason.",
    ),
    "notice_contradicted": (
        "Avböjt besök angavs som {stated_sv}, men trycken visar något annat: räknas som {judged_sv}.",
        "The decline was stated as {stated_en}, but the taps show otherwise: judged as {judged_en}.",
    ),
    "possible_double_compensation": (
        "Avböjt besök ersätts i {month} samtidigt som mer än beställt rapporterats: är tiden igentagen?",
        "A decline is compensated in {month} while more than ordered is reported: was the time made up?",
    ),
    "staff_inactive": (
        "Medarbetaren är registrerad men har inga besök.",
        "The staff member is registered but has no visits.",
    ),
    "clock_doubt": (
        "Enhetens klocka gick fel; tiden är uppskattad.",
        "The device's clock was wrong; the time is estimated.",
    ),
    "tag_counter_replay": (
        "Taggens räknare har redan använts av ett annat tryck.",
        "The tag's counter was already used by another tap.",
    ),
    "tag_counter_order": (
        "Taggens räknare kommer i fel ordning.",
        "The tag's counter comes out of order.",
    ),
    "seq_gap": ("Tryck saknas från enheten.", "Taps are missing from the device."),
    "seq_fork": (
        "Enheten har skickat två olika tryck med samma nummer.",
        "The device has sent two different taps with the same number.",
    ),
    "chain_broken": (
        "Ett tryck från enheten följer inte på det som kom före det.",
        "A tap from the device does not follow the one before it.",
    ),
    "grant_invalid": (
        "Passbehörigheten som telefonen angav gäller inte den här personen på den här enheten.",
        "The shift grant that the phone named is not for this person on this device.",
    ),
    "sun_invalid": (
        "Taggens kryptografiska kod stämde inte: bara dess nummer räknas.",
        "The tag's cryptographic code did not fit: only its number counts.",
    ),
    "rejected_input": (
        "Enheten skickade något som inte kunde läsas.",
        "The device sent something that could not be read.",
    ),
    "contact_missing": ("{The_client} saknar kontaktperson.", "The client has no contact."),
    "contact_without_title": (
        "Den fasta omsorgskontakten är inte undersköterska.",
        "The care contact is not an assistant nurse.",
    ),
}

_WORDS: Mapping[str, tuple[str, str]] = {
    "at_door": ("nej vid dörren", "declined at the door"),
    "in_advance": ("nej i förväg", "declined in advance"),
    "absent": ("öppnar inte", "nobody opens"),
    "names_no_visit": ("den pekar inte på något besök", "it names no visit"),
    "ends_before_start": ("besöket skulle sluta innan det börjar", "the visit would end before its start"),
    "states_nothing": ("den anger inget nytt", "it states nothing new"),
    "unknown_staff": ("medarbetaren är inte anställd då", "the staff member is not employed then"),
    "unknown_client": ("den nya identiteten finns inte", "the client does not exist"),
}

_CLIENT: Mapping[str, tuple[str, str]] = {
    "brukare": ("brukare", "brukaren"),
    "kund": ("kund", "kunden"),
    "den enskilde": ("person", "den enskilde"),
}
"""The policy `client_word`, indefinite and definite."""


def finding_text(finding: Finding, language: Language = "sv", client_word: str = "brukare") -> str:
    """One sentence or two in the reader's language; times are local. Facts that are missing read as nothing.

    `client_word` is the policy of that name: the installation's Swedish word for the client.
    """
    # During an update a newer server may have written what this one has no sentence for: better its code than nothing.
    swedish, english = _TEXTS.get(finding.code, (finding.code, finding.code))
    return (swedish if language == "sv" else english).format_map(_Facts(finding, client_word))


class _Facts(dict[str, str]):
    """The facts as a person reads them."""

    def __init__(self, finding: Finding, client_word: str) -> None:
        super().__init__({name: _readable(name, value) for name, value in finding.facts})
        self["client"], self["the_client"] = _CLIENT[client_word]
        self["The_client"] = self["the_client"].capitalize()
        self["at"] = local_text(finding.at)
        if self.get("kom_at"):
            self["left_sv"] = f" KOM där {self['kom_at']} avslutades av ett KOM på annan plats."
            self["left_en"] = f" The KOM there at {self['kom_at']} was ended by a KOM elsewhere."
        proposed = dict(finding.proposal).get("new_end_at", "")
        if proposed:
            self["proposed_sv"] = f" Förslag: slut {_readable('new_end_at', proposed)}."
            self["proposed_en"] = f" Proposal: end at {_readable('new_end_at', proposed)}."
        if "seconds" in self:
            self["duration"] = str(timedelta(seconds=int(self["seconds"])))
        for name in ("why", "stated", "judged"):
            value = self.get(name, "")
            self[f"{name}_sv"], self[f"{name}_en"] = _WORDS.get(value, (value, value))

    def __missing__(self, name: str) -> str:
        return ""


def _readable(name: str, value: str) -> str:
    return local_text(parse_instant(value)) if name.endswith("_at") and value else value
