"""Rules, and what they find."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

EXAMPLES = 3
FAILS = "Training fails."
Severity = Literal["error", "warning"]
Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Finding:
    """One kind of defect, with all places where it is.

    Args:
        code: The rule's code, such as 'D310'.
        severity: 'error' if training fails or learns nothing useful, else 'warning'.
        title: What is wrong, in the singular.
        examples: Where, all of it.
        consequence: What training does about it.
        fix: What to do.
    """

    code: str
    severity: Severity
    title: str
    examples: tuple[str, ...]
    consequence: str
    fix: str

    @property
    def is_error(self) -> bool:
        """Training fails on it or learns nothing useful."""
        return self.severity == "error"

    def __str__(self) -> str:
        more = ", ..." if len(self.examples) > EXAMPLES else ""
        where = f"{len(self.examples)} ({', '.join(self.examples[:EXAMPLES])}{more})."
        rest = " ".join(text for text in (self.consequence, self.fix) if text)
        return f"{self.severity}: {self.code} {self.title}: {where} {rest}".rstrip().replace(" \n", "\n")


@dataclass(frozen=True)
class Rule(Generic[Subject]):
    """One check. Put into the list of its subject, it runs.

    Args:
        code: A letter (D: data, C: config, P: preflight) and a number. It never changes; users ignore rules by it.
        severity: 'error' if training fails or learns nothing useful, else 'warning'.
        title: What is wrong, in the singular.
        consequence: What training does about it, a sentence.
        fix: What to do, a sentence, or a function of the subject that says it. May be empty.
        find: The places in the subject that are wrong, in words; none where all is well.
    """

    code: str
    severity: Severity
    title: str
    consequence: str
    fix: str | Callable[[Subject], str]
    find: Callable[[Subject], Iterable[str]]

    def __post_init__(self) -> None:
        """Know it by its code."""
        if RULES.setdefault(self.code, self).title != self.title:
            raise ValueError(f"two rules have the code {self.code}: {RULES[self.code].title!r} and {self.title!r}")


RULES: dict[str, Rule[Any]] = {}  # all that were made; asl_mmdet.checks.rules imports them all


class Findings:
    """Collects what rules find, in the order in which the rules apply."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[Rule[Any], str]] = {}  # with the fix in words
        self._examples: dict[str, list[str]] = {}

    def apply(self, rules: Iterable[Rule[Subject]], subject: Subject) -> bool:
        """Apply all rules to a subject; whether any found something."""
        found = [self._apply(rule, subject) for rule in rules]
        return any(found)

    def apply_first(self, rules: Iterable[Rule[Subject]], subject: Subject) -> bool:
        """Apply rules up to the first that finds something, since it explains what the others would find."""
        return any(self._apply(rule, subject) for rule in rules)

    def _apply(self, rule: Rule[Subject], subject: Subject) -> bool:
        examples = rule.find(subject)
        if examples == ():  # the common case, and a data set has millions
            return False
        examples = list(examples)
        if examples:
            if rule.code not in self._rules:
                self._rules[rule.code] = rule, rule.fix if isinstance(rule.fix, str) else rule.fix(subject)
            self._examples.setdefault(rule.code, []).extend(examples)
        return bool(examples)

    def result(self) -> list[Finding]:
        """One finding for every rule that found something."""
        return [
            Finding(code, rule.severity, rule.title, tuple(self._examples[code]), rule.consequence, fix)
            for code, (rule, fix) in self._rules.items()
        ]


def check(rules: Iterable[Rule[Subject]], subject: Subject) -> list[Finding]:
    """Apply all rules to one subject."""
    findings = Findings()
    findings.apply(rules, subject)
    return findings.result()


def without(findings: Iterable[Finding], ignored: Iterable[str]) -> list[Finding]:
    """The findings of all rules but the ignored codes."""
    codes = set(ignored)
    return [finding for finding in findings if finding.code not in codes]
