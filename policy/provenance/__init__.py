"""Where the values of a call come from: pure, and worked out anew from what is recorded.

    Given ──▶ Background ──hear(Answer)──▶ ... ──judge(Asked)──▶ Provenance

literal      does a value stand in a text, as whole tokens and without look-alikes?
calendar     dates and times, by what they say
targets      which arguments decide where, to whom, or what is acted on
closed       choices of a schema that decide nothing
inert        results that can have told a model nothing
intent       was a call of this kind asked for?
background   all of it together
"""

from policy.provenance.background import Answer, Asked, Background, Given, Source, background

__all__ = ["Answer", "Asked", "Background", "Given", "Source", "background"]
