"""Why a key does nothing now, in a sentence; empty where it works. The footer shows what works, a note says why not. Pure."""

from collections.abc import Callable

from tui.model import asking
from tui.model.screen import Question, Screen, in_flight


def unreached(screen: Screen) -> str:
    if screen.state is None:
        return "nothing is known of the daemon yet"
    return asking.silence(screen)


def no_tier(screen: Screen) -> str:
    if (why := unreached(screen)) or screen.tier:
        return why
    return "no tier is shown: Esc lifts the filter" if screen.filter else "there is no tier"


def no_target(screen: Screen) -> str:
    tier = screen.tier
    if (why := no_tier(screen)) or tier is None:
        return why
    if tier.predecessor is None and tier == screen.build_tier():
        return f"{tier.name} is built by a push: select the tier to promote into"
    return "" if tier.provisioned else f"tier {tier.name} is not provisioned"


def nothing_there(screen: Screen) -> str:
    tier = screen.tier
    if (why := no_tier(screen)) or tier is None:
        return why
    return "" if tier.current_version else f"nothing has ever run on tier {tier.name}"


def no_word_asked(screen: Screen) -> str:
    tier = screen.tier
    if (why := nothing_there(screen)) or tier is None:
        return why
    gate = next((g for g in tier.gates if g.kind == "manual_confirm"), None)
    if gate is None:
        return f"tier {tier.name} has no manual_confirm gate"
    return (
        f"{tier.current_version} is confirmed on tier {tier.name} already" if gate.outcome == "passed" else ""
    )


def idle(screen: Screen) -> str:
    tier = screen.tier
    if (why := no_tier(screen)) or tier is None:
        return why
    return "" if in_flight(screen, tier) is not None else f"nothing runs on tier {tier.name}"


def unagreed(screen: Screen) -> str:
    question = screen.overlay
    return asking.why_not(screen, question) if isinstance(question, Question) else ""


def no_reason_wanted(screen: Screen) -> str:
    question = screen.overlay
    asked = (
        isinstance(question, Question) and question.phase in {"asking", "ready"} and question.act != "unlock"
    )
    return "" if asked else "a reason would go nowhere"


def not_offered(option: str) -> Callable[[Screen], str]:
    def lacks(screen: Screen) -> str:
        question = screen.overlay
        return (
            ""
            if isinstance(question, Question) and option in asking.offered(question)
            else "it would not help"
        )

    return lacks
