"""Papers' experiments, repeated here: a card sets a paper's figure beside ours.

Whether a claim was reproduced is computed from the figures by a rule that was written down before
they were looked at, and "not reproduced" is one of the answers.
"""
