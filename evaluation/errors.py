"""The errors that end an evaluation; each message is for the person who started it."""


class EvaluationError(Exception):
    """The evaluation cannot start or go on."""


class DataError(EvaluationError):
    """The folder, the manifest or a reference of a conversation is wrong."""


class GraphError(EvaluationError):
    """The graph did not start, or it does not answer."""
