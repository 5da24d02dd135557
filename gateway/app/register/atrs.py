"""A record for the United Kingdom's Algorithmic Transparency Recording Standard, template 3.0 (2024).

Fields are named by their number and name in the template. A record is sent to the Government Digital Service
by people: this fills what the register knows, and `unstated` lists what a person must still write.
"""

from collections.abc import Mapping
from typing import Any

from gateway.app.register.facts import Facts, lines

VERSION = "3.0"

PHASES = {"before": "Pre-deployment", "during": "Production", "after": "Retired"}


def record(facts: Facts) -> dict[str, Any]:
    """Return the record, tier by tier."""
    tiers: dict[str, Any] = {
        "Tier 1 - Overview": _overview(facts),
        "Tier 2 - Owner and Responsibility": _owner(facts),
        "Tier 2 - Description and Rationale": _rationale(facts),
        "Tier 2 - Deployment Context": _deployment(facts),
        "Tier 2 - Tool Specification": _tool(facts),
        "Tier 2 - Risks, Mitigations and Impact Assessments": _risks(facts),
    }
    return {
        "standard": "Algorithmic Transparency Recording Standard",
        "standard_version": VERSION,
        "phase": "Beta/Pilot" if _pilot(facts) else PHASES[facts.phase],
        **{tier: {name: text for name, text in fields.items() if text} for tier, fields in tiers.items()},
        "unstated": [name for fields in tiers.values() for name, text in fields.items() if not text],
    }


def _pilot(facts: Facts) -> bool:
    modes = {rule["mode"] for rule in facts.rules}
    return facts.phase == "during" and modes == {"shadow"}


def _overview(facts: Facts) -> Mapping[str, str | None]:
    register = facts.register
    return {
        "1.1 Name": register.name,
        "1.2 Description": lines([register.summary, register.why]),
        "1.3 Website URL": register.url,
        "1.4 Contact email": register.owner.email,
    }


def _owner(facts: Facts) -> Mapping[str, str | None]:
    owner, suppliers = facts.register.owner, facts.register.supplier
    return {
        "2.1.1 Organisation or department": owner.organisation,
        "2.1.2 Team": owner.team,
        "2.1.3 Senior responsible owner": owner.role,
        "2.1.4 Third party involvement": "Yes" if suppliers else "No",
        "2.1.4.1 Third party": lines(each.name for each in suppliers) or "None",
        "2.1.4.2 Companies House number": lines(each.number for each in suppliers if each.number) or "None",
        "2.1.4.3 Third party role": lines(f"{each.name}: {each.role}" for each in suppliers) or "None",
        "2.1.4.4 Procurement procedure type": None,
        "2.1.4.5 Third party data access terms": lines(f"{s.name}: {s.access}" for s in suppliers) or "None",
    }


def _rationale(facts: Facts) -> Mapping[str, str | None]:
    algorithm = facts.register.algorithm
    return {
        "2.2.1 Detailed description": facts.logic(),
        "2.2.2 Scope": f"One pole, {facts.where}. {facts.register.why}",
        "2.2.3 Benefit": algorithm.benefit,
        "2.2.4 Previous process": algorithm.before,
        "2.2.5 Alternatives considered": algorithm.alternatives,
    }


def _deployment(facts: Facts) -> Mapping[str, str | None]:
    register = facts.register
    moves = lines(f"{act.what}: {act.why}" for act in register.act)
    return {
        "2.3.1 Integration into broader operational process": moves or "It measures, and moves nothing.",
        "2.3.2 Human review": facts.oversight(),
        "2.3.3 Frequency and scale of usage": "Continuously, at one place; /decisions has every decision.",
        "2.3.4 Required training": register.algorithm.training,
        "2.3.5 Appeals and review": f"{register.objection.how} {register.objection.answer}",
    }


def _tool(facts: Facts) -> Mapping[str, str | None]:
    register = facts.register
    measured = lines(f"{each.what}: {each.why}" for each in register.measure)
    personal = "Personal data are processed." if register.legal.personal_data else "None."
    return {
        "2.4.1.1 System architecture": "A gateway on the pole reads sensors and evaluates rules by itself; "
        "it needs no connection to decide. Records go to the owner's message broker.",
        "2.4.1.2 System-level input": measured,
        "2.4.1.3 System-level output": lines(act.what for act in register.act) or "Readings and events.",
        "2.4.1.4 Maintenance": f"Rules end by themselves unless renewed; all of it ends on {register.ends}.",
        "2.4.1.5 Models": "None: fixed rules, nothing learned.",
        "2.4.4.1 Data sources": measured,
        "2.4.4.2 Sensitive attributes": personal,
        "2.4.4.3 Data processing methods": facts.logic(),
        "2.4.4.4 Data access and storage": f"{register.data.where}; {register.data.kept}.",
        "2.4.4.5 Data sharing agreements": register.data.shared,
    }


def _risks(facts: Facts) -> Mapping[str, str | None]:
    return {
        "2.5.1 Impact assessment": lines(facts.register.legal.assessments),
        "2.5.2 Risks and mitigations": lines(facts.register.algorithm.risks),
    }
