"""The thread that writes letters from the journal's events, and sends them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from omero_fs_plugin.attendant import Attendant
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.outbox import ADMINS, DIGEST, FAULT, Letter
from omero_fs_plugin.errors import FsError, JournalError, ServerAwayError, UserError

from . import ways
from .addresses import Addresses
from .digest import Digest, is_news, is_trouble
from .faults import Faults, Report
from .notes import Notes
from .outgoing import InDoubt, NotSent, Outgoing
from .spells import Spell, Spells
from .wording import subject, text

log = logging.getLogger(__name__)

_LOOK_S = 5.0  # between two looks at what is due
_AGAIN_S, _AGAIN_MOST_S = 30.0, 900.0  # after a letter was not sent; twice as long each time
_CHUNK = 500  # filesets that are looked at together
_FAULTS, _ADMINS = "letters: faults told", "letters: admins' addresses"  # notes in the journal


class Postman(Attendant):
    """Tells people what omero.fs.notify says.

    Rule: it holds up nobody, and it sends nothing that is not in the journal: only if the journal
    itself is away, admins hear of that without it.
    """

    def __init__(
        self,
        journal: Journal,
        omero: Omero,
        *,
        settings: Callable[[], Settings],
        troubles: Callable[[], Mapping[str, str]],
        send: Callable[[Settings, Outgoing], None] = ways.send,
        notes: Notes | None = None,
    ) -> None:
        """`troubles` gives what is wrong with the system: fault -> what is known of it."""
        self._journal = journal
        self._outbox = journal.outbox
        self._omero = omero
        self._settings = settings
        self._troubles = troubles
        self._send_by = send
        self._notes = notes
        self._on = False  # people are told, and what follows is what the journal says
        self._through = 0  # the last event that was heard
        self._noted = 0  # ... and that the journal knows to be told, for everybody
        self._marks: dict[str, int] = {}  # person -> the last event told of, if that is later
        self._spells = Spells()
        self._faults = Faults()
        self._addresses = Addresses(omero, settings)
        self._letters: dict[int, float] = {}  # those that wait -> not sent before (s since epoch)
        # What became of letters, where the journal was away when it was to be noted.
        self._unnoted: dict[int, Callable[[], object]] = {}
        self._said = ""  # what is wrong, as the log has it
        self._resting = 0.0  # s since the epoch: nothing is sent before
        self._failures = 0  # in a row, of the way itself
        self._last_fault: float | None = None  # when admins were told of faults
        super().__init__("letters")

    def happened(self, fault: str, what: str) -> None:
        """A fault that is over already.  Admins are to hear of it."""
        self._faults.happened(fault, what)

    def _look(self) -> float | None:
        said = ""
        try:
            said = self._look_at_notes()  # first: a mail server may hold this thread
            self.look(self._journal.now())
        except FsError as error:
            said = str(error)
            if said != self._said:
                log.warning("letters: %s", said)
        except Exception:
            said = "a defect"
            log.exception("letters")
        self._said = said
        # While nobody is to be told, only other settings wake it.
        settings = self._settings()
        asleep = not said and settings.notify == "none" and settings.notes == "off"
        return None if asleep else _LOOK_S

    def _look_at_notes(self) -> str:
        """What is wrong with the journal; empty if nothing: then `look` need not tell of it."""
        try:
            if self._notes is not None:
                self._notes.look(self._journal.now())
        except JournalError as error:
            return str(error)
        return ""

    def look(self, now: float) -> None:
        """Writes and sends what is due `now` (s since the epoch).  Raises FsError."""
        settings = self._settings()
        if settings.notify == "none":
            self._outbox.end()
            self._on = False
            return
        faults = self._troubles()
        try:
            self._note_what_is_left()
            if not self._on:
                self._begin()
            self._hear(settings, now)
            self._faults.look(faults, now)
            self._write_digests(settings, now)
            self._write_fault(settings, now)
            self._send(settings, now)
        except JournalError as error:
            self._faults.look({**faults, "journal": str(error)}, now)
            self._tell_without_journal(settings, now)
            raise

    # From events to letters

    def _begin(self) -> None:
        for letter in self._outbox.take_up():
            log.warning("letter %d: DropBox ended while it was sent", letter.id)
        self._noted = self._through = self._outbox.begin()
        self._marks = self._outbox.marks()
        self._spells.clear()
        self._letters = {letter.id: 0.0 for letter in self._outbox.waiting()}
        known = self._journal.notes("letters: ")
        self._faults.told = json.loads(known.get(_FAULTS, "{}"))
        self._addresses = Addresses(self._omero, self._settings, known.get(_ADMINS, ""))
        self._last_fault = self._outbox.last(ADMINS, FAULT)
        self._on = True

    def _hear(self, settings: Settings, now: float) -> None:
        users, admins = _whom(settings)
        for some in self._outbox.news(self._through):
            for one in some:
                if users and is_news(one.after, one.reason):
                    self._heard(one.user, one.id, one.at, now)
                if admins and is_trouble(one.after, one.reason):
                    self._heard(ADMINS, one.id, one.at, now)
                self._through = one.id
            if self._stopping.is_set():
                return
        if not self._spells and self._through - self._noted >= _CHUNK:
            self._outbox.settled(self._through)  # so that a start need not hear all of it again
            self._noted = self._through

    def _heard(self, person: str, event: int, at: float, now: float) -> None:
        if event > self._marks.get(person, 0):
            self._spells.heard(person, event, at, now)

    def _write_digests(self, settings: Settings, now: float) -> None:
        for person, spell in self._spells.due(now, settings.notify_interval):
            if self._stopping.is_set():
                return
            last = self._outbox.last(person, DIGEST)
            if last is not None and 0 <= now - last < settings.notify_interval:
                continue
            if self._outbox.has(person, DIGEST):
                continue  # what is new is told after that
            content = self._digest(person, spell, settings, now)
            if content is None:
                self._outbox.told(person, spell.through)
            else:
                made = self._outbox.put(person, DIGEST, json.dumps(content), through=spell.through)
                if made is None:
                    continue
                self._letters[made] = 0.0
            self._marks[person] = spell.through
            self._spells.told(person)

    def _digest(
        self, person: str, spell: Spell, settings: Settings, now: float
    ) -> dict[str, Any] | None:
        after = max(self._noted, self._marks.get(person, 0))
        user = None if person == ADMINS else person
        filesets = self._outbox.touched(after, spell.through, user)
        digest = Digest(person, settings, now)
        with glance(settings.journal_url) as look:
            for start in range(0, len(filesets), _CHUNK):
                if look is not None:
                    digest.add(look.load(filesets[start : start + _CHUNK]))
        return digest.content()

    def _write_fault(self, settings: Settings, now: float) -> None:
        report = self._report(settings, now)
        if report is None or self._outbox.has(ADMINS, FAULT):
            return
        notes = {_FAULTS: json.dumps(self._faults.after(report))}
        made = self._outbox.put(ADMINS, FAULT, json.dumps(report.content(now)), notes=notes)
        if made is not None:
            self._faults.tell(report)
            self._letters[made] = 0.0
            self._last_fault = now

    def _report(self, settings: Settings, now: float) -> Report | None:
        if not _whom(settings)[1]:
            return None
        interval = settings.notify_interval
        return self._faults.due(now, last=self._last_fault, interval=interval)

    # From letters to people

    def _send(self, settings: Settings, now: float) -> None:
        # Those that were tried last come last: one that is refused each time holds up no other.
        for identifier, not_before in sorted(self._letters.items(), key=lambda one: one[::-1]):
            if self._stopping.is_set() or _is_before(now, self._resting):
                return
            if _is_before(now, not_before):
                continue
            letter = self._outbox.get(identifier)
            if letter is None:
                del self._letters[identifier]
            else:
                self._try_to_send(letter, settings, now)

    def _try_to_send(self, letter: Letter, settings: Settings, now: float) -> None:
        """What nobody has thought of hurts this letter alone.  Raises JournalError."""
        try:
            self._send_one(letter, settings, now)
        except JournalError:
            raise
        except Exception:
            log.exception("letter %d", letter.id)
            if letter.id in self._letters:
                self._letters[letter.id] = now + _AGAIN_MOST_S

    def _send_one(self, letter: Letter, settings: Settings, now: float) -> None:
        try:
            to = self._addresses_for(letter.person, settings)
        except ServerAwayError as error:
            self._outbox.waits(letter.id, f"the address is not known: {error}")
            self._letters[letter.id] = now + _AGAIN_S
            return
        except UserError as error:
            to, nobody = None, str(error)
        else:
            nobody = f"{letter.person} has no e-mail address in OMERO"
            if letter.person == ADMINS:
                nobody = "no admin has an e-mail address in OMERO: set omero.fs.notifyAdmins"
        if not self._outbox.take(letter.id):
            del self._letters[letter.id]  # it is sent, or was dropped
            return
        if to is None or (not to and ways.by_mail(settings)):
            log.warning("letter %d is not sent: %s", letter.id, nobody)
            self._note(letter, partial(self._outbox.drop, letter.id, nobody))
            return
        name = f"omero-fs.{int(letter.created * 1000)}.{letter.id}"
        out = _outgoing(json.loads(letter.content), name, to, again=letter.doubt)
        self._deliver(letter, out, settings, now)

    def _deliver(self, letter: Letter, out: Outgoing, settings: Settings, now: float) -> None:
        pause = min(_AGAIN_S * 2 ** min(letter.tries, 10), _AGAIN_MOST_S)
        try:
            self._send_by(settings, out)
        except NotSent as error:
            log.warning("letter %d is not sent: %s", letter.id, error)
            if error.final:
                self._note(letter, partial(self._outbox.drop, letter.id, str(error)))
                return
            if error.all_wait:
                self._rest(now)
            again = now if error.all_wait else now + pause
            self._note(letter, partial(self._outbox.later, letter.id, str(error)), again=again)
            return
        except InDoubt as error:
            log.warning("letter %d: %s", letter.id, error)
            self._rest(now)
            again = None if letter.doubt else now
            self._note(letter, partial(self._outbox.unsure, letter.id, str(error)), again=again)
            return
        self._failures, self._resting = 0, 0.0
        log.info("letter %d is sent to %s", letter.id, ", ".join(out.to) or letter.person)
        self._note(letter, partial(self._outbox.sent, letter.id))

    def _note(
        self, letter: Letter, note: Callable[[], object], *, again: float | None = None
    ) -> None:
        """Notes what became of a letter.  It is not sent before `again`; None: never again."""
        if again is None:
            del self._letters[letter.id]
        else:
            self._letters[letter.id] = again
        self._unnoted[letter.id] = note
        self._note_what_is_left()

    def _note_what_is_left(self) -> None:
        for identifier, note in list(self._unnoted.items()):
            note()
            del self._unnoted[identifier]

    def _rest(self, now: float) -> None:
        self._resting = now + min(_AGAIN_S * 2 ** min(self._failures, 10), _AGAIN_MOST_S)
        self._failures += 1

    def _addresses_for(self, person: str, settings: Settings) -> tuple[str, ...]:
        before = self._addresses.known
        try:
            to = self._addresses.of(person)
        except (ServerAwayError, UserError):
            if not ways.by_mail(settings):
                return ()  # a command or a web address may know the person by name
            raise
        if self._addresses.known != before:
            self._journal.note(_ADMINS, self._addresses.known)
        return to

    def _tell_without_journal(self, settings: Settings, now: float) -> None:
        """Admins hear that the journal is away, though nothing can be written into it."""
        report = self._report(settings, now)
        if report is None or "journal" not in report.new or _is_before(now, self._resting):
            return
        content = report.content(now)
        name = f"omero-fs.journal-away.{int(now)}"
        try:
            to = self._addresses.of(ADMINS)
            if not to and ways.by_mail(settings):
                return
            out = _outgoing(content, name, to)
            self._send_by(settings, out)
        except InDoubt as error:
            log.warning("the admins may not have heard of the journal: %s", error)
        except (NotSent, ServerAwayError) as error:
            log.warning("the admins do not hear of the journal: %s", error)
            self._rest(now)
            return
        self._faults.tell(report)
        self._last_fault = now


def _whom(settings: Settings) -> tuple[bool, bool]:
    """Whether users are told, and whether admins are."""
    return settings.notify in ("user", "both"), settings.notify in ("admin", "both")


def _is_before(now: float, at: float) -> bool:
    """Whether it is too early; not if somebody has set the clock back a long way."""
    return 0 < at - now <= _AGAIN_MOST_S


def _outgoing(
    content: Mapping[str, Any], name: str, to: tuple[str, ...], *, again: bool = False
) -> Outgoing:
    """`again`: it may have arrived before."""
    told = {"subject": subject(content), "text": text(content, again=again)}
    more = {"id": name, "to": list(to), "may_be_repeated": again}
    return Outgoing(name=name, to=to, content=json.dumps({**content, **told, **more}), **told)
