"""The errors a user can mend.

Every one of them ends a command with exit code 2 and its message alone, without a traceback. The
message names the file, the key or record, the value, and the remedy. Our own broken invariants are
`assert`s; anything else that escapes a command is a bug and keeps its traceback.
"""


class RecipeError(Exception):
    """Base of what the user can mend."""


class ConfigError(RecipeError):
    """A recipe YAML or a `key=value` override is wrong."""


class DataError(RecipeError):
    """An input file or folder is missing, damaged, empty, or was made for something else."""
