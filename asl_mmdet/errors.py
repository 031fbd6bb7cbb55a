"""The error for what a user can mend."""


class UserError(ValueError):
    """Something in the data, the config, a file or an option is wrong; the message names it, its value and the way out.

    The commands show this message alone. Any other error is a defect of this project, and keeps its stack trace.
    """
