"""Conditions on signals as people and models write them."""

import re

import pytest

from formant_mcp.errors import InvalidRequestError
from formant_mcp.queries.conditions import parse_conditions


@pytest.mark.parametrize(
    ("sent", "parsed"),
    [
        ("signals.agent_repeats>=3", "signals.agent_repeats>=3.0"),
        ("Signals.Agent_Repeats >= 3", "signals.agent_repeats>=3.0"),
        ({"signals": {"agent_repeats": {">=": 3}}}, "signals.agent_repeats>=3.0"),
        ({"signals.agent_repeats": ">2"}, "signals.agent_repeats>2.0"),
        ("signals.opt_out exists", "signals.opt_out exists"),
        ("signals.opt_out=said", "signals.opt_out=said"),
        ("signals.opt_out!=said", "signals.opt_out=not said"),
        ("signals.opt_out = not said", "signals.opt_out=not said"),
        ("signals.opt_out=true", "signals.opt_out=said"),
        ({"signals.opt_out": False}, "signals.opt_out=not said"),
        ("signals.opt_out=(none)", "signals.opt_out=(none)"),
        ("signals.opt_out<4", "signals.opt_out<4.0"),
        ("signals.early_end=yes", "signals.early_end=true"),
        ("signals.ended_by=Agent", "signals.ended_by=agent"),
        ("signals.ended_by!=customer", "signals.ended_by!=contact"),
        ("signals.agent_word_share>60%", "signals.agent_word_share>0.6"),
        ("results.signals.agent_repeats>=3", "signals.agent_repeats>=3"),
    ],
)
def test_a_condition_is_read_as_it_is_meant(sent: object, parsed: str) -> None:
    (condition,) = parse_conditions(sent)
    assert str(condition) == parsed
    assert condition.is_signal == (sent != "results.signals.agent_repeats>=3")


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ("signals.agent_repeat>=3", "Did you mean agent_repeats?"),
        ("signals.refusal exists", "There is no signal 'refusal'"),
        ("signals.agent_repeats=many", "Compare it with a number, e.g. signals.agent_repeats>=3."),
        ("signals.early_end>=1", "Compare it with true or false"),
        ("signals.ended_by>2", "Compare it with agent, contact or other"),
        ("signals.ended_by=nobody", "Compare it with agent, contact or other"),
        ("signals.agent_word_share>=101", "a share: to 1"),
        ("signals.agent_repeats>=-1", "Compare it with a number"),
        ("signals.opt_out=maybe", "Compare it with said or not said"),
    ],
)
def test_a_condition_without_a_meaning_is_refused_with_what_is_accepted(sent: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(says)):
        parse_conditions(sent)
