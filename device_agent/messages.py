"""Every text that the agent shows, Swedish and English."""

from typing import Literal

Lang = Literal["sv", "en"]

TEXTS: dict[str, tuple[str, str]] = {
    # at the reader
    "stored": ("Sparat: {act}", "Saved: {act}"),
    "badge": ("Bricka läst: {staff}. Läs nu taggen.", "Badge read: {staff}. Now the tag."),
    "badge_first": ("Inte sparat: visa brickan först.", "Not saved: show the badge first."),
    "random_uid": ("Inte sparat: det där är ingen tagg (en telefon?).", "Not saved: that is no tag (a phone?)."),
    "device_revoked": (
        "Inte sparat: enheten är spärrad. Kontakta chefen.",
        "Not saved: this device is revoked. Ask your manager.",
    ),
    "disk_full": (
        "Inte sparat: enhetens minne är fullt. Ring kontoret.",
        "Not saved: the device's storage is full. Call the office.",
    ),
    "not_writable": (
        "Inte sparat: enheten kan inte skriva. Ring kontoret.",
        "Not saved: the device cannot write. Call the office.",
    ),
    "too_long": ("Inte sparat: taggens innehåll är för långt.", "Not saved: the tag holds too much."),
    "fault": ("Inte sparat: fel i enheten. Ring kontoret.", "Not saved: the device has a fault. Call the office."),
    "uid_only": ("(bara taggens nummer gick att läsa)", "(only the tag's number could be read)"),
    # readers and sender
    "reader_online": ("Läsare {name}: klar", "Reader {name}: ready"),
    "reader_offline": (
        "Läsare {name}: svarar inte ({detail}). Sitter kabeln i?",
        "Reader {name}: no answer ({detail}). Is it plugged in?",
    ),
    "online": ("Servern svarar", "The server answers"),
    "no_answer": (
        "Servern svarar inte; allt sparas här ({detail})",
        "No answer from the server; all is kept here ({detail})",
    ),
    "server_trouble": (
        "Servern kan inte ta emot just nu ({detail}); allt sparas här",
        "The server cannot take it now ({detail}); all is kept here",
    ),
    "contact_manager": (
        "Servern känner inte enheten: kontakta chefen. Allt sparas här.",
        "The server does not know this device: ask your manager. All is kept here.",
    ),
    "revoked": (
        "Enheten är spärrad: kontakta chefen. Inget är borta.",
        "This device is revoked: ask your manager. Nothing is lost.",
    ),
    "false_receipt": (
        "Svaret kom inte från vår server ({detail}); allt sparas här",
        "The answer was not our server's ({detail}); all is kept here",
    ),
    "refused": (
        "Servern vägrar ta emot ({detail}); allt sparas här",
        "The server refuses ({detail}); all is kept here",
    ),
    "parked": (
        "Stämpling {detail} går inte att lämna: se `komgick-agent queue`",
        "Tap {detail} cannot be delivered: see `komgick-agent queue`",
    ),
    "not_taken": (
        "Servern tog inte emot stämplingarna; försöker igen",
        "The server did not take the taps; trying again",
    ),
    "disk_trouble": (
        "Enhetens minne går inte att skriva ({detail})",
        "The device's storage cannot be written ({detail})",
    ),
    "sender_error": (
        "Fel när stämplingar skulle skickas ({detail}); försöker igen",
        "Fault while sending ({detail}); trying again",
    ),
    "recovered": (
        "Skadad fil undanlagd i {place}; {restored} återfunna, {lost} borta",
        "Damaged file set aside in {place}; {restored} restored, {lost} lost",
    ),
    # commands
    "not_enrolled": (
        "Enheten är inte registrerad: kör `komgick-agent enrol`",
        "This device is not enrolled: run `komgick-agent enrol`",
    ),
    "already_enrolled": ("Enheten är redan registrerad som {device}", "This device is already enrolled as {device}"),
    "already_running": ("En agent kör redan med denna mapp", "An agent is already running with this folder"),
    "no_reader": ("Ingen läsare angiven: --reader", "No reader given: --reader"),
    "needs_https": (
        "Bara https till en server på annan dator: {url}",
        "Only https to a server on another machine: {url}",
    ),
    "bad_url": ("Ingen giltig serveradress: {url}", "Not a server address: {url}"),
    "udp_loopback": (
        "udp: är till för prov och tar bara 127.0.0.1: {path}",
        "udp: is for trials and takes only 127.0.0.1: {path}",
    ),
    "enrol_refused": (
        "Servern tog inte emot registreringen ({detail}). Be chefen om en ny kod.",
        "The server refused the enrolment ({detail}). Ask your manager for a new code.",
    ),
    "enrolled": (
        "Registrerad som {device}. Jämför med chefens skärm:",
        "Enrolled as {device}. Compare with your manager's screen:",
    ),
    "pending": ("Väntar på att chefen bekräftar.", "Waiting for your manager to confirm."),
    "bad_option": ("Fel värde för {name}: {detail}", "Wrong value for {name}: {detail}"),
    "queue_counts": (
        "väntar {waiting}, undanlagda {parked}, mottagna {received}, senaste nummer {last_seq}",
        "waiting {waiting}, parked {parked}, received {received}, last number {last_seq}",
    ),
    "released": ("{count} släppta; de skickas igen", "{count} released; they are sent again"),
    "corrupt_queue": (
        "Filen är skadad; `komgick-agent run` lagar den",
        "The file is damaged; `komgick-agent run` heals it",
    ),
    # write-tag
    "hold_tag": ("Håll taggen mot läsaren", "Hold the tag to the reader"),
    "no_tag": ("Ingen tagg inom {seconds} s", "No tag within {seconds} s"),
    "not_writable_tag": ("Taggen går inte att skriva: {detail}", "The tag cannot be written: {detail}"),
    "readback": ("Det som lästes tillbaka är något annat: {detail}", "What was read back differs: {detail}"),
    "written": ("Skrivet och läst tillbaka på {uid}", "Written and read back on {uid}"),
    "locked": ("Låst för alltid", "Locked for ever"),
    "wrong_tag": (
        "Bara NTAG213/215/216 skrivs här, det här är {detail}",
        "Only NTAG213/215/216 are written here, this is {detail}",
    ),
    "url_form": ("Adressen ska vara https med uppgiften efter #", "The address must be https with its data after #"),
    "no_tag_reader": ("Ingen läsare frågade på udp {port}", "No reader asked on udp {port}"),
    # selftest
    "reader_ok": ("öppnas", "opens"),
    "reader_busy": ("används av agenten som kör", "in use by the running agent"),
    "reader_bad": (
        "{detail} -> kontrollera kabel, udev-regler och svartlistan (deploy/agent)",
        "{detail} -> check cable, udev rules and blacklist (deploy/agent)",
    ),
    "clock_ok": ("{offset} s från serverns", "{offset} s from the server's"),
    "clock_bad": (
        "{offset} s från serverns -> slå på tidssynk (timedatectl set-ntp true)",
        "{offset} s from the server's -> switch time sync on (timedatectl set-ntp true)",
    ),
    "clock_unknown": (
        "kan inte jämföras utan server -> se nästa rad",
        "cannot be compared without the server -> see the next line",
    ),
    "server_ok": ("svarar på {url}", "answers at {url}"),
    "server_bad": ("{detail}", "{detail}"),
    "outbox_ok": ("{counts}; {free} MB ledigt", "{counts}; {free} MB free"),
    "outbox_low": ("{counts}; bara {free} MB ledigt -> frigör utrymme", "{counts}; only {free} MB free -> make room"),
    "outbox_bad": (
        "{detail} -> kontrollera mappen {folder} och ledigt utrymme",
        "{detail} -> check the folder {folder} and free space",
    ),
}


def text(code: str, lang: Lang, **values: object) -> str:
    """The text for `code` in the language, with its values put in. Raises KeyError for an unknown code."""
    return TEXTS[code][0 if lang == "sv" else 1].format(**values)
