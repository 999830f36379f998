"""What each figure of quality means, as it is printed beside the figures: Swedish and English."""

from __future__ import annotations

from collections.abc import Mapping

DEFINITIONS: Mapping[str, tuple[str, str]] = {
    "client_time_share": (
        "Brukartid: utförd tid hos brukare / all arbetad tid i enheten, alla roller.",
        "Executed time with clients / all worked minutes of the unit, every role.",
    ),
    "executed_share": ("Nyttjandegrad: utförd tid / beställd tid.", "Executed time / ordered time."),
    "hourly_share": (
        "Timavlönades andel av omsorgspersonalens arbetade tid (utan arbetad tid: av tiden hos brukare).",
        "Hourly-paid carers' share of the carers' worked minutes (without hours: of time with clients).",
    ),
    "education": (
        (
            "Andel utbildad omsorgspersonal (undersköterska, vårdbiträde, 600 poäng), efter antal och efter tid"
            " hos brukare."
        ),
        "Share of trained carers (usk, vardbitrade, 600p), by headcount and by time with clients.",
    ),
    "turnover": (
        "Omsorgspersonal som slutade i månaden / medelantalet vid månadens början och slut.",
        "Carers who left in the month / the mean headcount at its start and end.",
    ),
    "minutes_between_visits": (
        (
            "Tid mellan två besök hos olika brukare samma dag, högst 90 minuter; median per enhet och timme,"
            " minst fem personer."
        ),
        (
            "Time between two visits to different clients on a day, at most 90 minutes; median per unit and hour,"
            " at least five staff."
        ),
    ),
    "start_spread_minutes": (
        "Hur långt besökens starttid i medeltal ligger från den vanliga för samma planerade tid.",
        "How far starts lie on average from the usual start of the same planned slot.",
    ),
    "hours_to_resolve_findings": (
        "Timmar från det att något finns att åtgärda till att det är åtgärdat, median.",
        "Hours from a finding's time to its resolution, median.",
    ),
}
