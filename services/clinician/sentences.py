"""Every sentence of the clinician's pages, once: templates name it, and nothing that people read stands in a template."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from keepwell.contract.say import Argument, Said, counted, pair, said
from keepwell.contract.words import VOCABULARIES

WORDS: Final[Mapping[str, Said]] = {
    # every page
    "skip": said("Go to the main part"),
    "pages": said("Pages"),
    "sign_out": said("Sign out"),
    "made_up": said("Made-up data: nobody on this page is real."),
    "heard": said("Last event heard: {when}."),
    "heard_never": said("No event was heard yet."),
    "stale": said("Keepwell may be behind: what stands here may be older than it looks. Go on as you would without it."),
    "zone": said("Times are those of {zone}."),
    "not_sent": said("Your answer did not get through. Please try again."),
    "something_new": said("There is something new on this list."),
    "show_new": said("Show what is new"),
    "signal": said("Keepwell gives a hint. You know the person."),
    # names of pages
    "today": said("Today"),
    "supervision": said("Supervision"),
    "quality": said("Data quality"),
    "model": said("The model in use"),
    "users": said("Accounts"),
    "audit": said("Who looked and answered"),
    "password": said("Your password"),
    "together": said("Looking at it together"),
    "login": said("Sign in"),
    "wrong_login": said("Name or password are not right, or the one-time password is too old."),
    "too_many": said("There were many attempts. Please wait a few minutes, then try again."),
    "not_found": said("There is no such page"),
    "not_found_text": said("It may have moved, or it may not be yours to see."),
    "away": said("One moment, please"),
    "away_text": said(
        "Keepwell cannot look anything up right now. It comes back by itself: please load this page again in a minute, and "
        "go on as you would without it until then. What was answered is kept. If you have just sent something, send it once "
        "more; it counts once."
    ),
    "to_today": said("Back to the list"),
    # signing in
    "username": said("Name"),
    "secret": said("Password"),
    "sign_in_provider": said("Sign in with your clinic's account"),
    "sign_in_here": said("Or with a name and password of Keepwell"),
    "oidc_cancelled": said("You did not sign in with your clinic's account. You can try again."),
    "oidc_again": said("This sign-in was begun too long ago, or in another browser. Please begin again."),
    "oidc_provider": said(
        "Your clinic's account cannot be reached now, or its answer is not understood. Please try again later. "
        "A name and password of Keepwell still work."
    ),
    "oidc_claims": said(
        "Your clinic's account does not tell Keepwell what you may see, so you were not let in. Whoever looks after it has "
        "to send your clinic as {clinic}, your role as {role} (clinician, supervisor, administrator or data), and for a "
        "clinician the id in the events as {clinician}."
    ),
    "oidc_removed": said("Your account at Keepwell was removed. An administrator of your clinic can tell you more."),
    "oidc_signed_out": said("You are signed out of Keepwell. Your clinic's account may still be open in this browser."),
    "oidc_sign_out": said("Sign out of your clinic's account too"),
    # the list
    "find": said("Find a client by pseudonym"),
    "find_hint": said("Press / to come here, j and k to go from row to row."),
    "show": said("Show"),
    "whose": said("Clinician"),
    "everyone": said("everyone"),
    "with_alerts": said("only with an open matter"),
    "apply": said("Apply"),
    "clear": said("Show all"),
    "look_at": said("Worth a thought"),
    "nothing_to_look_at": said("Nothing asks for a thought now."),
    "quiet": said("All quiet"),
    "nobody": said("No client fits what you asked for."),
    "more": said("Further clients"),
    "bulk": said("Back from a leave?"),
    "bulk_text": said("Mark everything on this list as seen. Safety matters stay open, and what is new later is told."),
    "bulk_do": said("Mark all as seen"),
    "also_endorsed": said("Also endorsed: {when}"),
    "covering": said("You see this client because you cover for a colleague."),
    "new": said("New since you last looked"),
    "why_here": said("Why this is here"),
    "at_the_time": said("What it was when this was pointed out"),
    "likelihood": said("How likely a stop is"),
    "next_visit": said("Next visit"),
    "no_visit": said("none booked"),
    "last_session": said("Last session"),
    "no_session": said("none yet"),
    "last_values": said("The last values"),
    "no_measure": said("No questionnaire was filled in yet."),
    "not_known": said("What is not known"),
    "all_known": said("Nothing that was looked for is missing."),
    "one_thing": said("One thing you might do"),
    "three_options": said("Three equal options"),
    "why_this": said("Why this, and where it is from"),
    "contact": said("Today, by a call or a message"),
    "session": said("In the next session"),
    "clinic": said("At the clinic, without the client"),
    "tried": said("I tried this"),
    "tried_hint": said("How was it afterwards?"),
    # the demo
    "tour": said("Three clients to begin with"),
    "tour_text": said("Nobody here is real. Whatever you answer goes through the log, as it would in a clinic."),
    "tour_strain": said("said that something is hard, and a rating fell: a strain that can still be repaired."),
    "tour_absence": said("came twice, and then missed two visits: what might help somebody come back."),
    "tour_ending": said("is doing well, and the end that was planned is near: time to talk about ending well."),
    # answers
    "your_answer": said("Your answer for {subject}"),
    "look_later": said("Look again later"),
    "until_session": said("after the next session ({when})"),
    "until": said("until {when}"),
    "does_not_apply": said("Does not apply, because …"),
    "wrong": said("This is wrong"),
    "wrong_hint": said("It goes to data quality, with the reason that led to it."),
    "another_answer": said("Answer again"),
    "take_back": said("Take back"),
    "on_its_way": said("on its way"),
    "taken_back": said("taken back"),
    "answered": said("{what} ({when})"),
    "answered_until": said("{what} until {until} ({when})"),
    "answered_because": said("{what}: {reason} ({when})"),
    "by_you": said("You: {answer}"),
    "by_other": said("{who}: {answer}"),
    "announced": said("Your answer for {subject} is on its way."),
    "announced_back": said("Your answer for {subject} is taken back."),
    "put_off_twice": said(
        "You put this off more than once and nothing has changed. You might take it to supervision, or talk about another "
        "way or an ending."
    ),
    # a client
    "sections": said("On this page"),
    "why_now": said("Why now"),
    "how_it_moved": said("What moved since {when}"),
    "moved_since": said("{moved} ({when})"),
    "ratings": said("What was rated"),
    "strains": said("Strains between the two"),
    "no_strains": said("No strain was noticed."),
    "opened": said("Noticed"),
    "about": said("About"),
    "closed": said("How it went on"),
    "still_open": said("still open"),
    "repaired_on": said("repaired, {when}"),
    "passed_on": said("over without a repair, {when}"),
    "over_time": said("How likely a stop was over time"),
    "no_scores": said("Nothing was worked out yet."),
    "not_open": said("The course is not under way, so nothing is worked out."),
    "when": said("When"),
    "what": said("What"),
    "value": said("Value"),
    "moved": said("Compared with before"),
    "because": said("Because of"),
    "as_sum": said("What adds up to it"),
    "as_sum_text": said("Each line makes a stop more likely or less likely. Together they give the place on your list."),
    "as_sum_none": said("There is nothing to add up yet."),
    "reason": said("Reason"),
    "weight": said("What it does"),
    "points": said("Points"),
    "sum": said("Together"),
    "how_counted": said("How this is counted"),
    "how_counted_text": said(
        "Points are log-odds: above 0 they make a stop more likely, below 0 less. The starting point of the model is not "
        "among them."
    ),
    "how_counted_words": said(
        "The model was not fitted to your clinic. So the order of your list means something, and a number would not."
    ),
    "how_counted_release": said("Worked out by the release {release}."),
    "matters": said("What was pointed out, and what was answered"),
    "no_matters": said("Nothing was pointed out so far."),
    "raised": said("Pointed out {when}"),
    "settled": said("settled: {why}"),
    "no_answer": said("No answer."),
    "other_answers": said("What else was done"),
    "what_to_try": said("What you might try"),
    "nothing_to_try": said("Nothing is suggested now."),
    "timeline": said("What happened"),
    "empty_timeline": said("No event was heard yet."),
    "back_to_client": said("Back to the client's page"),
    # drawings
    "figures": said("The figures"),
    "cutoff": said("cut-off {value}"),
    "cutoff_words": said("Dashed line: the cut-off, {value}."),
    "usual": said("Shaded: what is usual for this person, {low} to {high}."),
    "usual_so_far": said("Shaded: what was usual so far, {low} to {high}."),
    "higher_better": said("Higher is better."),
    "lower_better": said("Lower is better."),
    "ratings_title": said("{instrument} over time"),
    "ratings_words": said("From {first} on {start} to {last} on {end}, on a scale from {low} to {high}."),
    "one_rating": said("{value} on {start}, on a scale from {low} to {high}."),
    "steps_title": said("How likely a stop was over time"),
    "steps_words": said("A line in steps from {start} to {end}. Higher means that a stop was more likely."),
    "more_likely": said("more likely"),
    # together
    "together_text": said("This page is for the two of you. It shows how it went and what was said, and nothing else."),
    "our_course": said("The way so far"),
    "since": said("Since"),
    "sessions": said("Sessions"),
    "how_it_was": said("How it was"),
    "what_helped": said("What was said to help"),
    "nothing_said": said("Nothing was noted yet. You might ask."),
    "better_after": said("Better after talking about it: {what}"),
    "better_after_trying": said("Better after trying something new together"),
    "to_talk": said("To talk about"),
    "ask_keep": said("What would you like to keep as it is?"),
    "ask_change": said("What would you like to be different?"),
    "ask_next": said("What would be a good next step?"),
    # supervision
    "supervision_text": said(
        "Numbers below five, and those that would give them away, are not shown. Others are rounded to five. The order is "
        "by name and nothing else."
    ),
    "period": said("From {start} to {end}."),
    "raised_count": said("Matters pointed out"),
    "answered_count": said("Answered"),
    "unseen_count": said("Passed unseen"),
    "hours": said("Hours to an answer, in the middle"),
    "repairs": said("Repairs tried"),
    "repairs_better": said("Better afterwards"),
    "burden": said("Matters a clinician and week"),
    "burden_text": said("about {budget} were foreseen"),
    "outcomes": said("How courses ended, once it is known"),
    "no_outcomes": said("None has ended yet."),
    "how_many": said("How many"),
    "by_clinician": said("By clinician"),
    "open_courses": said("Courses under way"),
    "open_end": said("Open at the end"),
    "few": said("not shown"),
    "no_team": said("There is nothing to show yet."),
    # data quality
    "quality_text": said("What is missing, by the system that would send it, and what was called wrong."),
    "system": said("System"),
    "last_event": said("Last event"),
    "never": said("never"),
    "events": said("Events"),
    "missing": said("What is missing"),
    "nothing_missing": said("nothing"),
    "no_systems": said("No system has sent anything yet."),
    "called_wrong": said("What was called wrong"),
    "nothing_wrong": said("Nothing was called wrong so far."),
    "times_wrong": said("Called wrong"),
    "wrong_of": said("{wrong} of {shown}"),
    # the model
    "release": said("Release"),
    "role": said("Its part"),
    "fitted": said("Fitted to your clinic"),
    "yes": said("yes"),
    "no": said("no"),
    "no_model": said("No release is in use."),
    "sources": said("Where it comes from"),
    "card": said("What it is, and what it is for"),
    # people
    "password_old": said("The password you have"),
    "password_new": said("A new password"),
    "password_again": said("The new password again"),
    "password_must": said("You came in with a one-time password. Choose one of your own before you go on."),
    "password_text": said("After this you are signed out everywhere else."),
    "password_wrong": said("This is not the password you have."),
    "password_differs": said("The two are not the same."),
    "password_same": said("Choose a password that is not the one you have."),
    "password_elsewhere": said("You sign in with your clinic's account. Its password is changed there."),
    "password_choose": said("Change the password"),
    "everywhere": said("Sign out everywhere"),
    "everywhere_text": said("This ends your sessions in every browser, this one too."),
    "welcome": said("Welcome to Keepwell"),
    "welcome_text": said("You make the first account of {clinic}. It looks after all the others."),
    "welcome_make": said("Make the account"),
    "link_void": said("This link opens nothing"),
    "link_void_text": said(
        "It was used already, or it is too old. Keepwell prints a new one when it starts without accounts."
    ),
    "account_name": said("A name is 1 to 128 letters, digits or signs. It has no blanks and none of / ? #"),
    "account_taken": said("There is an account of this name already."),
    "account_clinician": said("Someone who sees clients needs the name they have in the events. Nobody else has one."),
    "account_last": said("You are the last one who looks after accounts. Give somebody else that role first."),
    "add_account": said("Add an account"),
    "their_role": said("Role"),
    "role_clinician": said("sees own clients"),
    "role_supervisor": said("sees all clients"),
    "role_administrator": said("looks after accounts"),
    "role_data": said("looks at data"),
    "in_events": said("Name in the events"),
    "account_by_provider": said("signs in with the clinic's account"),
    "not_changed": said("one-time password not changed yet"),
    "actions": said("What you can do"),
    "new_password": said("New one-time password"),
    "new_password_of": said("New one-time password for {whose}"),
    "remove": said("Remove"),
    "remove_of": said("Remove {whose}"),
    "shown_once": said("One-time password of {whose}: it is shown only now, and opens the door for seven days."),
    "tokens": said("Tokens of programs"),
    "token": said("Token"),
    "made_at": said("Made"),
    "used_at": said("Last used"),
    "ends_at": said("Ends"),
    "no_end": said("no end"),
    "revoke": said("Revoke"),
    "revoke_of": said("Revoke {whose}"),
    "no_tokens": said("There are no tokens."),
    "covers": said("Cover"),
    "cover_who": said("Who covers"),
    "cover_for": said("For whom"),
    "cover_last_day": said("Last day"),
    "cover_grant": said("Let them cover"),
    "cover_end": said("End now"),
    "cover_end_of": said("End now: the cover of {whose}"),
    "no_covers": said("Nobody covers for anybody."),
    "cover_wrong": said("A clinician covers for another one, from today and for three months at most."),
    # notices
    "notices": said("Messages to you"),
    "notices_text": said(
        "No message names a client or says what it is about. Each only leads to your list. The list itself always holds "
        "everything."
    ),
    "mail_address": said("Mail address"),
    "mail_hint": said("Leave it empty to get no mail."),
    "mail_wrong": said("This is no mail address. Write it as name@clinic.example, or leave it empty."),
    "wish_digest": said(
        "One message before the first session of the day, at {when} at the latest, if something is worth a thought"
    ),
    "wish_pushes": said("A message at once, if the client comes today and the morning's message is out already"),
    "pushes_text": said("{most} Never from {begin} to {end}."),
    "safety_always": said("You are always told at once when a safety item was endorsed."),
    "safety_stands_in": said(
        "You are told when a safety item was endorsed and nobody who sees the client has a way to be told."
    ),
    "keep": said("Keep"),
    "last_notices": said("The last messages to you"),
    "no_notices": said("No messages so far."),
    "how_sent": said("How"),
    "what_became": said("What became of it"),
    "notice_digest": said("Before the day"),
    "notice_push": said("Something new"),
    "notice_safety": said("Safety"),
    "by_mail": said("by mail"),
    "by_webhook": said("by your clinic's messenger"),
    "notice_is_waiting": said("on its way"),
    "notice_is_sent": said("sent"),
    "notice_is_dead": said("could not be delivered"),
    "undelivered": said("A message to you could not be delivered. Your list holds what it was about."),
    "undelivered_look": said("See which"),
    "undelivered_to": said("Messages to these accounts could not be delivered in the last seven days: {names}."),
    "mail_digest": said("Before your first session today"),
    "mail_digest_text": said("Something on your list may be worth a thought before today's sessions."),
    "mail_push": said("Something new on your list"),
    "mail_push_text": said("There is something new on your list that may matter for a session today."),
    "mail_safety": said("Something needs a look today"),
    "mail_safety_text": said("Something on your list needs a look today."),
    "mail_why": said("Keepwell never writes about anybody in a mail. You choose what you are told of here:"),
    # the audit
    "audit_text": said("Each look and each answer is noted here, this one too."),
    "audit_when": said("When"),
    "audit_who": said("Who"),
    "audit_did": said("What"),
    "audit_client": said("Client"),
    "audit_about": said("About"),
    "audit_ask": said("Who looked at this client?"),
    "audit_show": said("Show"),
    "audit_all": said("Show everyone"),
    "audit_older": said("Older ones"),
    "audit_export": said("Export as JSON lines"),
    "audit_check": said("Check that nothing was changed"),
    "audit_holds": said("Nothing was changed. Entries looked at: {count}."),
    "audit_broken": said("Something was changed at entry {place}. Keep a copy and ask who runs Keepwell."),
    "audit_none": said("Nothing was noted."),
    "audit_erased": said("erased"),
    "did_caseload_seen": said("saw the client in a list"),
    "did_episode_seen": said("saw the client's page"),
    "did_together_seen": said("opened the page to look at together"),
    "did_alert_seen": said("saw a hint"),
    "did_answer_given": said("answered"),
    "did_answer_retracted": said("took an answer back"),
    "did_repair_recorded": said("noted what was tried"),
    "did_team_seen": said("saw the numbers of the team"),
    "did_audit_seen": said("looked at this record"),
    "did_audit_exported": said("exported this record"),
    "did_looks_asked": said("asked who looked at the client"),
    "did_signed_in": said("signed in"),
    "did_signed_out": said("signed out"),
    "did_sessions_ended": said("signed out everywhere"),
    "did_user_added": said("added an account"),
    "did_user_changed": said("changed the clinic or role of an account"),
    "did_user_removed": said("removed an account"),
    "did_password_set": said("set a password"),
    "did_token_made": said("made a token"),
    "did_token_revoked": said("revoked a token"),
    "did_cover_granted": said("let somebody cover"),
    "did_cover_ended": said("ended a cover"),
    "did_link_made": said("made a one-time link"),
    "did_link_used": said("used a one-time link"),
    "did_client_erased": said("erased a client"),
}  # fmt: skip
"""What templates call a sentence. Places are filled where it is shown."""

COUNTS: Final[Mapping[str, tuple[str, str]]] = {
    "waiting": pair("{count} client is worth a thought", "{count} clients are worth a thought"),
    "quiet": pair("{count} client", "{count} clients"),
    "sessions": pair("{count} session", "{count} sessions"),
    "minutes_ago": pair("{count} minute ago", "{count} minutes ago"),
    "episodes": pair("{count} client", "{count} clients"),
    "pushes_a_week": pair("At most {count} a week.", "At most {count} a week."),
}
"""What templates call a sentence that is counted."""

KINDS: Final[Mapping[str, Said]] = {
    "episode.opened": said("Start"),
    "appointment.booked": said("Visit booked"),
    "appointment.rescheduled": said("Visit moved"),
    "appointment.cancelled": said("Visit cancelled"),
    "appointment.missed": said("Visit did not take place"),
    "session.attended": said("Session"),
    "measure.completed": said("Questionnaire"),
    "measure.skipped": said("Questionnaire left out"),
    "homework.assigned": said("Work between sessions agreed"),
    "homework.reviewed": said("Work between sessions looked at"),
    "feedback.given": said("What the client said"),
    "rupture.noted": said("Strain noticed"),
    "repair.attempted": said("Repair tried"),
    "contact.made": said("Contact"),
    "clinician.changed": said("Other clinician"),
    "episode.ended": said("End"),
    "alert.actioned": said("Answer"),
    "event.retracted": said("Entry taken back"),
}
"""Kinds of entries of the timeline, by the short type of their event."""

WHY: Final[Mapping[str, Said]] = {
    "safety": said("A safety item was endorsed. Please follow the protocol of your clinic."),
    "voiced": said("The client said that something is not going well."),
    "rose": said("A stop has become more likely."),
    "likely": said("A stop was likely when this was pointed out."),
    "rupture": said("A strain between the two is not repaired yet."),
    "silence": said("Nothing was heard for a while."),
    "ending": said("It may be time to talk about ending well, or about another way."),
    "back_from_snooze": said("You asked to see this again now."),
    "session_today": said("The next session is close."),
    "quiet": said("Nothing asks for a thought."),
}
"""Why an episode stands where it stands (`services.clinician.views.Why`)."""

MONTHS: Final = (
    said("January"), said("February"), said("March"), said("April"), said("May"), said("June"),
    said("July"), said("August"), said("September"), said("October"), said("November"), said("December"),
)  # fmt: skip
WEEKDAYS: Final = (said("Mon"), said("Tue"), said("Wed"), said("Thu"), said("Fri"), said("Sat"), said("Sun"))


def words(name: str, /, **arguments: Argument) -> Said:
    """A sentence of `WORDS` with what fills its places. Raises `KeyError` for one that is not there."""
    return WORDS[name]._replace(arguments=tuple(arguments.items()))


def so_many(name: str, count: int, /, **arguments: Argument) -> Said:
    """A sentence of `COUNTS` about so many. Raises `KeyError` for one that is not there."""
    return counted(count, *COUNTS[name], **arguments)


def meaning(vocabulary: str, word: str) -> Said:
    """What a word of the contract says to people; a word of a later version stands for itself."""
    return Said(VOCABULARIES[vocabulary].says.get(word, word))


def day(moment: datetime, now: datetime, zone: tzinfo) -> Said:
    """A day as it is told in a zone: today, or its date, with the year where it is another one."""
    there, here = moment.astimezone(zone).date(), now.astimezone(zone).date()
    match (there - here).days:
        case 0:
            return said("today")
        case 1:
            return said("tomorrow")
        case -1:
            return said("yesterday")
    return date(moment, zone, year=there.year != here.year)


def date(moment: datetime, zone: tzinfo, *, year: bool = False) -> Said:
    """The date in a zone."""
    there = moment.astimezone(zone).date()
    weekday, month = WEEKDAYS[there.weekday()], MONTHS[there.month - 1]
    if year:
        return said("{day} {month} {year}", day=there.day, month=month, year=there.year)
    return said("{weekday} {day} {month}", weekday=weekday, day=there.day, month=month)


def day_of_month(moment: datetime, now: datetime, zone: tzinfo) -> Said:
    """The date without its weekday, where there is little room."""
    there = moment.astimezone(zone)
    if there.year != now.astimezone(zone).year:
        return date(moment, zone, year=True)
    return said("{day} {month}", day=there.day, month=MONTHS[there.month - 1])


def clock(moment: datetime, now: datetime, zone: tzinfo) -> Said:
    """A day and the time of day, in a zone."""
    there, here = moment.astimezone(zone), now.astimezone(zone)
    time = f"{there:%H:%M}"
    match (there.date() - here.date()).days:
        case 0:
            return said("today at {time}", time=time)
        case 1:
            return said("tomorrow at {time}", time=time)
        case -1:
            return said("yesterday at {time}", time=time)
    return said("{date}, {time}", date=date(moment, zone, year=there.year != here.year), time=time)


def ago(moment: datetime, now: datetime, zone: tzinfo) -> Said:
    """How long ago something was, in minutes within the hour, later on when it was."""
    minutes = int((now - moment).total_seconds() // 60)
    if minutes < 1:
        return said("just now")
    return so_many("minutes_ago", minutes) if minutes < 60 else clock(moment, now, zone)
